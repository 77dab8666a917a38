//! Executors of a process: the configured ones and those of the program.

use crate::exit::CommandError;
use longhaul_executor::Executor;
use longhaul_executors::{ExecutorRegistry, PluginGuard};
use longhaul_runtime::{
    Settings,
    settings::{AgentSettings, ExecutorName},
};
use longhaul_store::Store;
use std::{collections::BTreeSet, sync::Arc};

/// Builds the configured executors, limited to `worker.agents` if it is set, and adds the program's
/// own.
pub fn build(
    settings: &Settings,
    registry: &ExecutorRegistry,
    own: Vec<Arc<dyn Executor>>,
) -> Result<Vec<Arc<dyn Executor>>, CommandError> {
    if let Some(executor) = own.iter().find(|own| own.descriptor().agent.name.is_reserved()) {
        let name = executor.descriptor().agent.name;
        return Err(CommandError::usage(format!(
            "this program has an executor named {name}, and that name is reserved; give it another one"
        )));
    }
    // `worker.agents` may name executors of the program too.
    let own_names: BTreeSet<String> =
        own.iter().map(|executor| executor.descriptor().agent.name.to_string()).collect();
    let wanted = settings.worker.agents.as_deref();
    check_names(wanted.unwrap_or_default(), &settings.agent, &own_names)?;
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|one| one == name));
    let configured: Vec<AgentSettings> =
        settings.agent.iter().filter(|agent| is_wanted(&agent.name)).cloned().collect();
    if let Some(twice) = configured.iter().find(|agent| own_names.contains(&agent.name)) {
        return Err(CommandError::usage(format!(
            "configuration: agent {:?}: this program has an executor of that name itself",
            twice.name
        )));
    }
    let mut executors = registry
        .build(&configured, plugin_guard(&configured).as_ref())
        .map_err(|error| CommandError::usage(format!("configuration: {error}")))?;
    executors.extend(own);
    if executors.is_empty() {
        return Err(CommandError::usage(
            "configuration: agent: there is none to run; add an [[agent]] to longhaul.toml, such as\n\n  \
             [[agent]]\n  name = \"echo\"\n  executor = \"echo\"\n",
        ));
    }
    Ok(executors)
}

/// Starts the guard that ends plugin programs when this process is killed; `None` without any.
fn plugin_guard(agents: &[AgentSettings]) -> Option<PluginGuard> {
    // Only process executors start programs that could outlive this process.
    agents.iter().find(|agent| agent.executor == ExecutorName::PROCESS)?;
    let guard = PluginGuard::for_current_program();
    guard.inspect_err(|error| tracing::warn!(%error, "plugin guard failed to start")).ok()
}

/// Fails if an agent is registered under a name that a later version has reserved: no request would
/// reach it.
pub async fn refuse_reserved(store: &dyn Store) -> Result<(), CommandError> {
    // If the store is unavailable, the start fails or waits at its next use.
    let Ok(agents) = store.agents().await else { return Ok(()) };
    let Some(agent) = agents.iter().find(|agent| agent.name.is_reserved()) else { return Ok(()) };
    let name = &agent.name;
    Err(CommandError::failed(format!(
        "an agent named {name} is registered, and that name is reserved now. Give its executor another name, and remove the \
         old registration with: delete from agents where name = '{name}'"
    )))
}

fn check_names(
    wanted: &[String],
    agents: &[AgentSettings],
    own: &BTreeSet<String>,
) -> Result<(), CommandError> {
    let known =
        |name: &String| agents.iter().any(|agent| agent.name == *name) || own.contains(name);
    let Some(unknown) = wanted.iter().find(|name| !known(name)) else { return Ok(()) };
    let mut names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    names.extend(own.iter().map(String::as_str));
    Err(CommandError::usage(format!(
        "configuration: worker.agents: no agent is named {unknown:?}; allowed: {}",
        if names.is_empty() {
            "none, for no [[agent]] is configured".to_owned()
        } else {
            names.join(", ")
        }
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::settings;

    fn settings(agents: &[&str], wanted: Option<&[&str]>) -> Settings {
        let agent = |name: &&str| AgentSettings {
            name: (*name).to_owned(),
            executor: ExecutorName::ECHO,
            ..AgentSettings::default()
        };
        let mut settings =
            Settings { agent: agents.iter().map(agent).collect(), ..Settings::default() };
        settings.worker.agents =
            wanted.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        settings
    }

    fn names(executors: &[Arc<dyn Executor>]) -> Vec<String> {
        executors.iter().map(|executor| executor.descriptor().agent.name.to_string()).collect()
    }

    /// Builds the executors of a program that registers none.
    fn built(
        settings: &Settings,
        own: Vec<Arc<dyn Executor>>,
    ) -> Result<Vec<Arc<dyn Executor>>, CommandError> {
        build(settings, &ExecutorRegistry::new(), own)
    }

    fn build_error(settings: &Settings, own: Vec<Arc<dyn Executor>>) -> String {
        let failure = built(settings, own).err().expect("must be refused");
        assert_eq!(failure.code(), 2);
        failure.to_string()
    }

    #[test]
    fn a_worker_runs_the_agents_that_the_settings_name() {
        let all = built(&settings(&["a", "b"], None), Vec::new()).unwrap();
        assert_eq!(names(&all), ["a", "b"]);
        let one = built(&settings(&["a", "b"], Some(&["b"])), Vec::new()).unwrap();
        assert_eq!(names(&one), ["b"]);
        assert!(build_error(&settings(&["a"], Some(&["c"])), Vec::new()).contains("\"c\""));
        assert!(build_error(&settings(&[], None), Vec::new()).contains("[[agent]]"));
    }

    #[test]
    fn reserved_names_are_the_same_everywhere() {
        assert_eq!(settings::RESERVED_AGENT_NAMES, longhaul_domain::ids::RESERVED_NAMES);
    }

    #[tokio::test]
    async fn a_registered_agent_with_a_reserved_name_fails_the_start() {
        let (store, _folder) = longhaul_store_sqlite::testing::temp_store().await.unwrap();
        let store: Arc<dyn Store> = store;
        let register = async |name: &str| {
            let text = format!(
                r#"{{"name":"{name}","version":"1","description":"","skills":[],"inputModes":[],"outputModes":[]}}"#
            );
            store.register_agents(vec![serde_json::from_str(&text).unwrap()]).await.unwrap();
        };
        register("echo").await;
        assert_eq!(refuse_reserved(&*store).await, Ok(()));
        register("console").await;
        let refused = refuse_reserved(&*store).await.unwrap_err().to_string();
        assert!(refused.contains("named console") && refused.contains("delete from"), "{refused}");
    }

    #[test]
    fn own_executors_run_beside_the_configured_ones() {
        let own = || built(&settings(&["mine"], None), Vec::new()).unwrap();
        assert_eq!(names(&built(&settings(&["a"], None), own()).unwrap()), ["a", "mine"]);
        assert!(build_error(&settings(&["mine"], None), own()).contains("\"mine\""));
    }
}
