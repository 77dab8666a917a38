//! `longhaul dev`: everything in one process, on SQLite.

use super::{
    banner::{Access, Banner},
    health, process,
};
use crate::{
    api_key::ApiKey,
    args::DevArgs,
    commands::keys,
    exit::{CommandError, CommandResult, Completion},
    print,
    wiring::{self, api_options, executors, store_error, worker_options},
};
use longhaul_api::{Api, ApiOptions, ApiParts};
use longhaul_dispatch::{Dispatch, LocalDispatch};
use longhaul_domain::Scope;
use longhaul_executor::Executor;
use longhaul_executors::ExecutorRegistry;
use longhaul_runtime::{
    Readiness, Settings, Shutdown, SystemIds,
    settings::{AgentSettings, AuthMode, ExecutorName, SkillSettings},
};
use longhaul_store::Store;
use longhaul_worker::{FailedStart, Worker, WorkerOptions};
use std::sync::Arc;
use tokio::{net::TcpListener, runtime::Handle, sync::oneshot};

/// Owner of the first key: the owner of tasks that were sent without keys.
const FIRST_KEY_OWNER: &str = "local";

/// Runs the command with the configured executors and the program's own.
pub fn run(
    args: &DevArgs,
    registry: &ExecutorRegistry,
    own: Vec<Arc<dyn Executor>>,
) -> CommandResult {
    let mut settings = wiring::load(&args.config, args.overrides(), registry)?;
    let mode = settings.auth_mode(AuthMode::None)?;
    wiring::key_ring(&settings)?;
    let own_agents = own.iter().map(|executor| executor.descriptor().agent.name.to_string());
    add_default_agents(&mut settings, own_agents.collect());
    let executors = executors::build(&settings, registry, own)?;
    process::serve(&settings, "longhaul-dev", |shutdown| dev(&settings, mode, executors, shutdown))
}

/// Adds two agents if there is none, and makes the first agent the default if none is set.
fn add_default_agents(settings: &mut Settings, own: Vec<String>) {
    if settings.agent.is_empty() && own.is_empty() {
        let agent = |name: &str, executor, description: &str| AgentSettings {
            name: name.to_owned(),
            executor,
            description: description.to_owned(),
            input_modes: vec!["*/*".to_owned()],
            output_modes: vec!["*/*".to_owned()],
            ..AgentSettings::default()
        };
        settings.agent = vec![
            agent("echo", ExecutorName::ECHO, "Answers with what it was sent"),
            AgentSettings {
                skill: vec![packing_skill()],
                ..agent("demo", ExecutorName::DEMO, "Packs for a trip, to show what a task can do")
            },
        ];
    }
    if settings.server.default_agent.is_none() {
        let configured = settings.agent.iter().map(|agent| agent.name.clone());
        settings.server.default_agent = own.into_iter().chain(configured).next();
    }
}

/// Describes the skill of the `demo` agent, for its card.
fn packing_skill() -> SkillSettings {
    SkillSettings {
        id: "packing".to_owned(),
        name: "Packing list".to_owned(),
        description: "Packs for a trip: asks where to, reports progress and streams a list"
            .to_owned(),
        tags: vec!["demo".to_owned()],
        examples: vec!["Lisbon".to_owned(), "Lisbon, with a flaky weather service".to_owned()],
        ..SkillSettings::default()
    }
}

async fn dev(
    settings: &Settings,
    mode: AuthMode,
    executors: Vec<Arc<dyn Executor>>,
    shutdown: Shutdown,
) -> CommandResult {
    let store: Arc<dyn Store> = wiring::open_sqlite(&settings.embedded.data).await?;
    executors::refuse_reserved(&*store).await?;
    // Bound before agents and keys are written, so that a failed start leaves none behind.
    let listener = health::bind(settings.server.listen, "--listen").await?;
    let address = listener.local_addr().unwrap_or(settings.server.listen);
    // Registered before the API serves, so that the first request finds the agents.
    let agents: Vec<_> = executors.iter().map(|executor| executor.descriptor().agent).collect();
    store.register_agents(agents.clone()).await.map_err(|error| store_error(&error))?;
    let first_key = create_first_key(&*store, mode).await?;
    let options = api_options(settings, mode, address)?;
    let default_agent = options.default_agent.clone();
    let banner = |failed: &[FailedStart]| {
        Banner {
            url: &wiring::local_url(address),
            data: &settings.embedded.data,
            agents: &agents.iter().map(|agent| agent.name.clone()).collect::<Vec<_>>(),
            failed,
            default_agent: default_agent.as_ref(),
            access: match (mode, &first_key) {
                (AuthMode::None, _) => Access::Open,
                (AuthMode::Keys, Some(key)) => Access::FirstKey(&key.text),
                (AuthMode::Keys, None) => Access::Keys,
            },
        }
        .text()
    };
    let dispatch: Arc<dyn Dispatch> = Arc::new(LocalDispatch::new());
    let runtime = process::ExecutorRuntime::start()?;
    let shared =
        DevProcess { store: Arc::clone(&store), dispatch, shutdown, readiness: Readiness::new() };
    let api = shared.api(options);
    let worker = shared.worker(executors, runtime.handle(), worker_options(settings));
    let (start_report, started) = oneshot::channel::<Vec<FailedStart>>();
    let print_banner = async {
        // The sender is dropped if a signal ends the process first.
        let Ok(failed) = started.await else { return Ok(()) };
        let printed = print::write_out(&banner(&failed));
        let Some(key) = first_key.as_ref() else {
            // A closed terminal does not stop the server.
            return printed.or_else(|error| {
                tracing::warn!(%error, "banner not printed");
                Ok(())
            });
        };
        keys::revoke_unless_printed(&*store, key, printed).await
    };
    let outcome = shared.run(api, listener, worker, start_report, print_banner).await;
    shared.dispatch.close().await;
    store.close().await;
    outcome
}

/// State that the API and the worker of the process share.
struct DevProcess {
    store: Arc<dyn Store>,
    dispatch: Arc<dyn Dispatch>,
    shutdown: Shutdown,
    readiness: Readiness,
}

impl DevProcess {
    fn api(&self, options: ApiOptions) -> Api {
        let parts = ApiParts {
            store: Arc::clone(&self.store),
            waker: self.dispatch.waker(),
            ids: Arc::new(SystemIds),
            readiness: self.readiness.clone(),
            shutdown: process::child_shutdown(&self.shutdown),
        };
        Api::start(parts, options)
    }

    fn worker(
        &self,
        executors: Vec<Arc<dyn Executor>>,
        executor_runtime: Handle,
        options: WorkerOptions,
    ) -> Worker {
        Worker {
            store: Arc::clone(&self.store),
            dispatch: Arc::clone(&self.dispatch),
            executors,
            executor_runtime,
            ids: Arc::new(SystemIds),
            readiness: self.readiness.clone(),
            options,
        }
    }

    /// Runs API and worker until one ends, then stops the other. Prints the banner meanwhile.
    async fn run(
        &self,
        api: Api,
        listener: TcpListener,
        worker: Worker,
        start_report: oneshot::Sender<Vec<FailedStart>>,
        print_banner: impl Future<Output = Result<(), CommandError>>,
    ) -> CommandResult {
        let serving = async {
            let ended = api.serve(listener).await;
            self.shutdown.drain();
            ended.map_err(|error| CommandError::failed(format!("the API ended: {error}")))
        };
        let working = async {
            let ended = worker
                .run_with_start_report(process::child_shutdown(&self.shutdown), start_report)
                .await;
            self.shutdown.drain();
            ended.map_err(|error| CommandError::failed(error.to_string()))
        };
        let print_banner = async { print_banner.await.inspect_err(|_| self.shutdown.drain()) };
        let (api_end, worker_end, printed) = tokio::join!(serving, working, print_banner);
        api_end.and(worker_end).and(printed).map(|()| Completion::Ok)
    }
}

/// Creates a key if keys are required and there is none.
async fn create_first_key(
    store: &dyn Store,
    mode: AuthMode,
) -> Result<Option<ApiKey>, CommandError> {
    if mode == AuthMode::None {
        return Ok(None);
    }
    let known = store.keys(None).await.map_err(|error| store_error(&error))?;
    if !known.is_empty() {
        return Ok(None);
    }
    let scopes = [Scope::Read, Scope::Write, Scope::Operator];
    keys::create_key(store, FIRST_KEY_OWNER, "made by longhaul dev", &scopes).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_are_added_if_none_is_configured() {
        let mut settings = Settings::default();
        add_default_agents(&mut settings, Vec::new());
        let names: Vec<&str> = settings.agent.iter().map(|agent| agent.name.as_str()).collect();
        assert_eq!(names, ["echo", "demo"]);
        assert_eq!(settings.server.default_agent.as_deref(), Some("echo"));
        assert_eq!(settings.validate(), Ok(()));
    }

    #[test]
    fn no_agents_are_added_to_a_program_with_its_own() {
        let mut settings = Settings::default();
        add_default_agents(&mut settings, vec!["own".to_owned()]);
        assert!(settings.agent.is_empty());
        assert_eq!(settings.server.default_agent.as_deref(), Some("own"));
    }

    #[test]
    fn the_first_agent_is_the_default_unless_another_is_set() {
        let agent =
            |name: &str| AgentSettings { name: name.to_owned(), ..AgentSettings::default() };
        let mut settings = Settings { agent: vec![agent("a"), agent("b")], ..Settings::default() };
        add_default_agents(&mut settings, Vec::new());
        assert_eq!(settings.agent.len(), 2);
        assert_eq!(settings.server.default_agent.as_deref(), Some("a"));
        settings.server.default_agent = None;
        add_default_agents(&mut settings, vec!["own".to_owned()]);
        assert_eq!(settings.server.default_agent.as_deref(), Some("own"));
        settings.server.default_agent = Some("b".to_owned());
        add_default_agents(&mut settings, Vec::new());
        assert_eq!(settings.server.default_agent.as_deref(), Some("b"));
    }
}
