//! `longhaul dev`: everything in one process, on SQLite.

use super::{
    banner::{Access, Banner},
    health, process,
};
use crate::{
    api_key::ApiKey,
    args::DevArgs,
    commands::keys,
    exit::{Done, Failure, Outcome},
    parts::{self, api_options, executors, sentence, worker_options},
    print,
};
use longhaul_api::{Api, ApiOptions, ApiParts};
use longhaul_dispatch::{Dispatch, LocalDispatch};
use longhaul_domain::Scope;
use longhaul_executor::Executor;
use longhaul_runtime::{
    Readiness, Settings, Shutdown, SystemIds,
    settings::{AgentSettings, AuthMode, ExecutorKind},
};
use longhaul_store::Store;
use longhaul_worker::{FailedStart, Worker, WorkerOptions};
use std::sync::Arc;
use tokio::{net::TcpListener, runtime::Handle, sync::oneshot};

/// On whose behalf the first key acts: the owner of what was made without keys.
const FIRST_OWNER: &str = "local";

/// Runs the command, with these executors beside the configured ones.
pub fn run(args: &DevArgs, own: Vec<Arc<dyn Executor>>) -> Outcome {
    let mut settings = parts::load(&args.configured, args.overrides())?;
    let mode = settings.auth_mode(AuthMode::None)?;
    parts::key_ring(&settings)?;
    let own_agents = own.iter().map(|executor| executor.descriptor().agent.name.to_string());
    complete_agents(&mut settings, own_agents.collect());
    let executors = executors::build(&settings, own)?;
    process::serve(&settings, "longhaul-dev", |shutdown| dev(&settings, mode, executors, shutdown))
}

/// Without any agent there are two; and some agent answers where none is named.
fn complete_agents(settings: &mut Settings, own: Vec<String>) {
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
            agent("echo", ExecutorKind::Echo, "Answers with what it was sent"),
            agent("script", ExecutorKind::Script, "Does what the message says; for tests"),
        ];
    }
    if settings.server.default_agent.is_none() {
        let configured = settings.agent.iter().map(|agent| agent.name.clone());
        settings.server.default_agent = own.into_iter().chain(configured).next();
    }
}

async fn dev(
    settings: &Settings,
    mode: AuthMode,
    executors: Vec<Arc<dyn Executor>>,
    shutdown: Shutdown,
) -> Outcome {
    let store: Arc<dyn Store> = parts::sqlite(&settings.embedded.data).await?;
    executors::refuse_reserved(&*store).await?;
    let listener = health::listen(settings.server.listen, "--listen").await?;
    let address = listener.local_addr().unwrap_or(settings.server.listen);
    // Registered before the API answers, so that the first request finds the agents.
    let agents: Vec<_> = executors.iter().map(|executor| executor.descriptor().agent).collect();
    store.register_agents(agents.clone()).await.map_err(|error| sentence(&error))?;
    let first_key = first_key(&*store, mode).await?;
    let options = api_options(settings, mode, address)?;
    let default_agent = options.default_agent.clone();
    let banner = |failed: &[FailedStart]| {
        Banner {
            url: &parts::url_of(address),
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
    let whole =
        Whole { store: Arc::clone(&store), dispatch, shutdown, readiness: Readiness::new() };
    let api = whole.api(options);
    let worker = whole.worker(executors, runtime.handle(), worker_options(settings));
    let (settled, started) = oneshot::channel::<Vec<FailedStart>>();
    let announcing = async {
        // Nothing comes when the process is told to end before.
        let Ok(failed) = started.await else { return Ok(()) };
        let printed = print::write_out(&banner(&failed));
        let Some(key) = first_key.as_ref() else {
            // A terminal that is gone keeps nobody from the API.
            return printed.or_else(|error| {
                tracing::warn!(%error, "cannot say that it is ready");
                Ok(())
            });
        };
        keys::shown(&*store, key, printed).await
    };
    let outcome = whole.run(api, listener, worker, settled, announcing).await;
    whole.dispatch.close().await;
    store.close().await;
    outcome
}

/// What the two halves of the process share.
struct Whole {
    store: Arc<dyn Store>,
    dispatch: Arc<dyn Dispatch>,
    shutdown: Shutdown,
    readiness: Readiness,
}

impl Whole {
    fn api(&self, options: ApiOptions) -> Api {
        let parts = ApiParts {
            store: Arc::clone(&self.store),
            waker: self.dispatch.waker(),
            ids: Arc::new(SystemIds),
            readiness: self.readiness.clone(),
            shutdown: process::child_of(&self.shutdown),
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

    /// Serves and works until one half ends, then ends the other. Announces meanwhile that it is ready.
    async fn run(
        &self,
        api: Api,
        listener: TcpListener,
        worker: Worker,
        settled: oneshot::Sender<Vec<FailedStart>>,
        announcing: impl Future<Output = Result<(), Failure>>,
    ) -> Outcome {
        let serving = async {
            let ended = api.serve(listener).await;
            self.shutdown.drain();
            ended.map_err(|error| Failure::failed(format!("the API ended: {error}")))
        };
        let working = async {
            let ended =
                worker.run_with_start_report(process::child_of(&self.shutdown), settled).await;
            self.shutdown.drain();
            ended.map_err(|error| Failure::failed(error.to_string()))
        };
        let announcing = async { announcing.await.inspect_err(|_| self.shutdown.drain()) };
        let (api_end, worker_end, announced) = tokio::join!(serving, working, announcing);
        api_end.and(worker_end).and(announced).map(|()| Done::Ok)
    }
}

/// Makes a key where keys are asked for and there is none.
async fn first_key(store: &dyn Store, mode: AuthMode) -> Result<Option<ApiKey>, Failure> {
    if mode == AuthMode::None {
        return Ok(None);
    }
    let known = store.keys(None).await.map_err(|error| sentence(&error))?;
    if !known.is_empty() {
        return Ok(None);
    }
    let scopes = [Scope::Read, Scope::Write, Scope::Operator];
    keys::make(store, FIRST_OWNER, "made by longhaul dev", &scopes).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_configured_agents_there_are_two() {
        let mut settings = Settings::default();
        complete_agents(&mut settings, Vec::new());
        let names: Vec<&str> = settings.agent.iter().map(|agent| agent.name.as_str()).collect();
        assert_eq!(names, ["echo", "script"]);
        assert_eq!(settings.server.default_agent.as_deref(), Some("echo"));
        assert_eq!(settings.validate(), Ok(()));
    }

    #[test]
    fn a_program_with_agents_of_its_own_gets_no_others() {
        let mut settings = Settings::default();
        complete_agents(&mut settings, vec!["own".to_owned()]);
        assert!(settings.agent.is_empty());
        assert_eq!(settings.server.default_agent.as_deref(), Some("own"));
    }

    #[test]
    fn the_first_configured_agent_answers_unless_another_is_named() {
        let agent =
            |name: &str| AgentSettings { name: name.to_owned(), ..AgentSettings::default() };
        let mut settings = Settings { agent: vec![agent("a"), agent("b")], ..Settings::default() };
        complete_agents(&mut settings, Vec::new());
        assert_eq!(settings.agent.len(), 2);
        assert_eq!(settings.server.default_agent.as_deref(), Some("a"));
        settings.server.default_agent = None;
        complete_agents(&mut settings, vec!["own".to_owned()]);
        assert_eq!(settings.server.default_agent.as_deref(), Some("own"));
        settings.server.default_agent = Some("b".to_owned());
        complete_agents(&mut settings, Vec::new());
        assert_eq!(settings.server.default_agent.as_deref(), Some("b"));
    }
}
