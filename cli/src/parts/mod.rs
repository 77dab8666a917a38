//! From settings to the parts of a process.

mod announcing;
mod cards;
pub mod executors;
pub mod key_file;
mod options;
mod wait;

use crate::{args::Configured, exit::Failure};
use announcing::Announcing;
use longhaul_dispatch::{AmqpDispatch, AmqpOptions, Dispatch};
use longhaul_runtime::{
    IdSource, Secret, Settings, Shutdown, SystemClock, SystemIds,
    readiness::ComponentHandle,
    settings::{SettingOverride, SettingSources},
};
use longhaul_store::{Store, StoreError};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_store_sqlite::SqliteStore;
use std::{path::Path, sync::Arc, time::Duration};

pub use cards::{key_ring, key_warnings};
pub use options::{address_warnings, api_options, url_of, worker_options};

/// Reads the settings of this process.
pub fn load(configured: &Configured, overrides: Vec<SettingOverride>) -> Result<Settings, Failure> {
    Ok(Settings::load(SettingSources::of_process(configured.config.clone(), overrides))?)
}

/// Where the database is; without one there is nothing to do.
pub fn database_url(settings: &Settings) -> Result<&Secret, Failure> {
    settings.database.url.as_ref().ok_or_else(|| {
        Failure::usage(
            "configuration: database.url: is missing; set it in LONGHAUL_DATABASE_URL, with --database-url, or in the \
             file; allowed: a URL such as postgres://user:password@host:5432/longhaul",
        )
    })
}

/// What went wrong with a store, as a sentence of a command.
pub fn sentence(error: &StoreError) -> Failure {
    match error {
        StoreError::Unavailable(cause) => Failure::failed(cause.clone()),
        other => Failure::failed(other.to_string()),
    }
}

/// The store in a folder, with its schema up to date.
pub async fn sqlite(data: &Path) -> Result<Arc<SqliteStore>, Failure> {
    let store = SqliteStore::open(data, Arc::new(SystemClock), Arc::new(SystemIds));
    let store = store.map_err(|error| sentence(&error))?;
    store.migrate().await.map_err(|error| sentence(&error))?;
    Ok(store)
}

/// The store on Postgres, waited for as long as the settings say. `None` when the process was told to end meanwhile.
pub async fn postgres(
    settings: &Settings,
    ids: &Arc<dyn IdSource>,
    shutdown: &Shutdown,
) -> Result<Option<Arc<PostgresStore>>, Failure> {
    let options = PostgresOptions {
        url: database_url(settings)?.clone(),
        max_connections: settings.database.max_connections,
        start_timeout: settings.database.start_timeout.get(),
    };
    let connecting = PostgresStore::connect(options, Arc::clone(ids));
    // Boxed, because it is large and is awaited through several layers.
    let waiting = wait::noisily("the database", Box::pin(connecting));
    let connected = shutdown.draining().run_until_cancelled(waiting).await;
    connected.transpose().map_err(|error| sentence(&error))
}

/// How workers are woken. Where there is a broker, its component exists before the first message.
pub fn dispatch(
    settings: &Settings,
    store: &Arc<dyn Store>,
    component: impl FnOnce() -> ComponentHandle,
) -> Result<Arc<dyn Dispatch>, Failure> {
    let Some(url) = &settings.amqp.url else {
        return Ok(Arc::new(Announcing::through(Arc::clone(store))));
    };
    let mut amqp = AmqpOptions::new(url.clone());
    amqp.prefix.clone_from(&settings.amqp.prefix);
    let started = AmqpDispatch::start(amqp, Some(component()));
    let started =
        started.map_err(|error| Failure::usage(format!("configuration: amqp.url: {error}")))?;
    Ok(Arc::new(started))
}

/// Waits for the broker where the settings say that it is needed. Elsewhere nothing waits for it: the connection is made in
/// the background, and until then workers find their work by looking.
pub async fn await_broker(
    settings: &Settings,
    dispatch: &dyn Dispatch,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    if settings.amqp.url.is_none() || !settings.amqp.required {
        return Ok(());
    }
    let waiting = dispatch.wait_connected(settings.amqp.start_timeout.get());
    let waiting = wait::noisily("the broker", waiting);
    match shutdown.draining().run_until_cancelled(waiting).await {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(Failure::failed(format!(
            "{error}; start the broker, or set amqp.required to false to work without it"
        ))),
    }
}

/// How often a wait is mentioned.
const MENTIONED: Duration = Duration::from_secs(3);
