//! `longhaul api`: a stateless node on Postgres.

use super::{health, process};
use crate::{
    args::ApiArgs,
    exit::{CommandError, CommandResult, Completion},
    wiring::{self, api_options},
};
use longhaul_api::{Api, ApiParts};
use longhaul_executors::ExecutorRegistry;
use longhaul_runtime::{IdSource, Readiness, Settings, Shutdown, SystemIds, settings::AuthMode};
use longhaul_store::Store;
use std::sync::Arc;

/// Runs the command.
pub fn run(args: &ApiArgs, registry: &ExecutorRegistry) -> CommandResult {
    let settings = wiring::load(&args.config, args.overrides(), registry)?;
    let mode = settings.auth_mode(AuthMode::Keys)?;
    wiring::database_url(&settings)?;
    // Checked before the wait for the database, so that a bad key file fails at once.
    wiring::key_ring(&settings)?;
    process::serve(&settings, "longhaul-api", |shutdown| api(&settings, mode, shutdown))
}

async fn api(settings: &Settings, mode: AuthMode, shutdown: Shutdown) -> CommandResult {
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    let Some(store) = wiring::connect_postgres(settings, &ids, &shutdown).await? else {
        return Ok(Completion::Ok);
    };
    let store: Arc<dyn Store> = store;
    wiring::executors::refuse_reserved(&*store).await?;
    let readiness = Readiness::new();
    // A node serves without its broker, so the broker's state does not affect readiness.
    let dispatch = wiring::start_dispatch(settings, &store, || readiness.optional("broker"))?;
    wiring::await_broker(settings, &*dispatch, &shutdown).await?;
    let listener = health::bind(settings.server.listen, "--listen").await?;
    let address = listener.local_addr().unwrap_or(settings.server.listen);
    let parts = ApiParts {
        store: Arc::clone(&store),
        waker: dispatch.waker(),
        ids,
        readiness,
        shutdown: process::child_shutdown(&shutdown),
    };
    let api = Api::start(parts, api_options(settings, mode, address)?);
    tracing::info!(%address, "API listening");
    let served = api.serve(listener).await;
    // After the API: its last requests still wake workers.
    dispatch.close().await;
    store.close().await;
    served.map_err(|error| CommandError::failed(format!("the API ended: {error}")))?;
    Ok(Completion::Ok)
}
