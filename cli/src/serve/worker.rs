//! `longhaul worker`: runs tasks, on Postgres.

use super::{health, process};
use crate::{
    args::WorkerArgs,
    exit::{CommandError, CommandResult, Completion},
    wiring::{self, executors, worker_options},
};
use longhaul_executor::Executor;
use longhaul_executors::ExecutorRegistry;
use longhaul_runtime::{IdSource, Readiness, Settings, Shutdown, SystemIds};
use longhaul_store::Store;
use longhaul_worker::Worker;
use std::sync::Arc;

/// Runs the command with the configured executors and the program's own.
pub fn run(
    args: &WorkerArgs,
    registry: &ExecutorRegistry,
    own: Vec<Arc<dyn Executor>>,
) -> CommandResult {
    let settings = wiring::load(&args.config, args.overrides(), registry)?;
    wiring::database_url(&settings)?;
    let executors = executors::build(&settings, registry, own)?;
    process::serve(&settings, "longhaul-worker", |shutdown| worker(&settings, executors, shutdown))
}

async fn worker(
    settings: &Settings,
    executors: Vec<Arc<dyn Executor>>,
    shutdown: Shutdown,
) -> CommandResult {
    let readiness = Readiness::new();
    // Registered before the wait for the database, so that the worker is not ready meanwhile.
    let store_ready = readiness.component("store");
    if let Some(address) = settings.worker.listen {
        let listener = health::bind(address, "--listen").await?;
        health::start(listener, readiness.clone(), shutdown.clone());
    }
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    store_ready.set_failed("waiting for the database");
    let Some(store) = wiring::connect_postgres(settings, &ids, &shutdown).await? else {
        return Ok(Completion::Ok);
    };
    let store: Arc<dyn Store> = store;
    executors::refuse_reserved(&*store).await?;
    health::monitor_database(Arc::clone(&store), readiness.component("database"), &shutdown);
    let dispatch = wiring::start_dispatch(settings, &store, || readiness.component("broker"))?;
    wiring::await_broker(settings, &*dispatch, &shutdown).await?;
    let runtime = process::ExecutorRuntime::start()?;
    let worker = Worker {
        store: Arc::clone(&store),
        dispatch: Arc::clone(&dispatch),
        executors,
        executor_runtime: runtime.handle(),
        ids,
        readiness,
        options: worker_options(settings),
    };
    let outcome = worker.run(process::child_shutdown(&shutdown)).await;
    // The runs are settled or released by now; the store goes last.
    dispatch.close().await;
    store.close().await;
    outcome.map_err(|error| CommandError::failed(error.to_string()))?;
    Ok(Completion::Ok)
}
