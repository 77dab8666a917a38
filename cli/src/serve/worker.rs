//! `longhaul worker`: runs tasks, on Postgres.

use super::{health, process};
use crate::{
    args::WorkerArgs,
    exit::{Done, Failure, Outcome},
    parts::{self, executors, worker_options},
};
use longhaul_executor::Executor;
use longhaul_runtime::{IdSource, Readiness, Settings, Shutdown, SystemIds};
use longhaul_store::Store;
use longhaul_worker::Worker;
use std::sync::Arc;

/// Runs the command, with these executors beside the configured ones.
pub fn run(args: &WorkerArgs, own: Vec<Arc<dyn Executor>>) -> Outcome {
    let settings = parts::load(&args.configured, args.overrides())?;
    parts::database_url(&settings)?;
    let executors = executors::build(&settings, own)?;
    process::serve(&settings, "longhaul-worker", |shutdown| worker(&settings, executors, shutdown))
}

async fn worker(
    settings: &Settings,
    executors: Vec<Arc<dyn Executor>>,
    shutdown: Shutdown,
) -> Outcome {
    let readiness = Readiness::new();
    // Said before anything is waited for, so that the worker is not taken for ready meanwhile.
    let store_ready = readiness.component("store");
    if let Some(address) = settings.worker.listen {
        let listener = health::listen(address, "--listen").await?;
        health::start(listener, readiness.clone(), shutdown.clone());
    }
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    store_ready.set_failed("waiting for the database");
    let Some(store) = parts::postgres(settings, &ids, &shutdown).await? else {
        return Ok(Done::Ok);
    };
    let store: Arc<dyn Store> = store;
    executors::refuse_reserved(&*store).await?;
    health::watch(Arc::clone(&store), readiness.component("database"), &shutdown);
    let dispatch = parts::dispatch(settings, &store, || readiness.component("broker"))?;
    parts::await_broker(settings, &*dispatch, &shutdown).await?;
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
    let outcome = worker.run(process::child_of(&shutdown)).await;
    dispatch.close().await;
    store.close().await;
    outcome.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Done::Ok)
}
