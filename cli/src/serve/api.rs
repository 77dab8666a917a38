//! `longhaul api`: a stateless node on Postgres.

use super::{health, process};
use crate::{
    args::ApiArgs,
    exit::{Done, Failure, Outcome},
    parts::{self, api_options},
};
use longhaul_api::{Api, ApiParts};
use longhaul_runtime::{IdSource, Readiness, Settings, Shutdown, SystemIds, settings::AuthMode};
use longhaul_store::Store;
use std::sync::Arc;

/// Runs the command.
pub fn run(args: &ApiArgs) -> Outcome {
    let settings = parts::load(&args.configured, args.overrides())?;
    let mode = settings.auth_mode(AuthMode::Keys)?;
    parts::database_url(&settings)?;
    // Before the database is waited for.
    parts::key_ring(&settings)?;
    process::serve(&settings, "longhaul-api", |shutdown| api(&settings, mode, shutdown))
}

async fn api(settings: &Settings, mode: AuthMode, shutdown: Shutdown) -> Outcome {
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    let Some(store) = parts::postgres(settings, &ids, &shutdown).await? else {
        return Ok(Done::Ok);
    };
    let store: Arc<dyn Store> = store;
    parts::executors::refuse_reserved(&*store).await?;
    let readiness = Readiness::new();
    // A node without a broker serves as well as one with it: how the broker is, is shown and decides nothing.
    let dispatch = parts::dispatch(settings, &store, || readiness.optional("broker"))?;
    parts::await_broker(settings, &*dispatch, &shutdown).await?;
    let listener = health::listen(settings.server.listen, "--listen").await?;
    let address = listener.local_addr().unwrap_or(settings.server.listen);
    let parts = ApiParts {
        store: Arc::clone(&store),
        waker: dispatch.waker(),
        ids,
        readiness,
        shutdown: process::child_of(&shutdown),
    };
    let api = Api::start(parts, api_options(settings, mode, address)?);
    tracing::info!(%address, "the API listens");
    let served = api.serve(listener).await;
    dispatch.close().await;
    store.close().await;
    served.map_err(|error| Failure::failed(format!("the API ended: {error}")))?;
    Ok(Done::Ok)
}
