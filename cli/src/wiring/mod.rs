//! From settings to stores, dispatchers, executors and options.

mod card_keys;
pub mod executors;
pub mod key_file;
mod options;
mod store_dispatch;

use crate::{args::ConfigArgs, exit::CommandError};
use longhaul_dispatch::{AmqpDispatch, AmqpOptions, Dispatch};
use longhaul_executors::ExecutorRegistry;
use longhaul_runtime::{
    IdSource, Secret, Settings, Shutdown, SystemClock, SystemIds,
    readiness::ComponentHandle,
    settings::{SettingOverride, SettingSources},
};
use longhaul_store::{Store, StoreError};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_store_sqlite::SqliteStore;
use std::{path::Path, sync::Arc, time::Duration};
use store_dispatch::StoreDispatch;

pub use card_keys::{key_ring, key_warnings};
pub use options::{address_warnings, api_options, local_url, worker_options};

/// Pause between log lines of a wait.
const PROGRESS_LOG_INTERVAL: Duration = Duration::from_secs(3);

/// Loads the settings of this process.
pub fn load(
    config: &ConfigArgs,
    overrides: Vec<SettingOverride>,
    registry: &ExecutorRegistry,
) -> Result<Settings, CommandError> {
    let sources = SettingSources::from_process(config.config.clone(), overrides);
    Ok(Settings::load_with(sources, &registry.registered())?)
}

/// Returns the URL of the database, or the usage error of a process without one.
pub fn database_url(settings: &Settings) -> Result<&Secret, CommandError> {
    settings.database.url.as_ref().ok_or_else(|| {
        CommandError::usage(
            "configuration: database.url: is missing; set it in LONGHAUL_DATABASE_URL, with --database-url, or in the \
             file; allowed: a URL such as postgres://user:password@host:5432/longhaul",
        )
    })
}

/// Converts an error of a store to the failure of a command.
pub fn store_error(error: &StoreError) -> CommandError {
    match error {
        StoreError::Unavailable(cause) => CommandError::failed(cause.clone()),
        other => CommandError::failed(other.to_string()),
    }
}

/// Opens the SQLite store in a folder, and migrates it.
pub async fn open_sqlite(data: &Path) -> Result<Arc<SqliteStore>, CommandError> {
    let store = SqliteStore::open(data, Arc::new(SystemClock), Arc::new(SystemIds));
    let store = store.map_err(|error| store_error(&error))?;
    // A single process owns the file, so no separate command migrates it.
    store.migrate().await.map_err(|error| store_error(&error))?;
    Ok(store)
}

/// Connects to the Postgres store; waits up to `database.start_timeout`. `None` if a signal ends
/// the process first.
pub async fn connect_postgres(
    settings: &Settings,
    ids: &Arc<dyn IdSource>,
    shutdown: &Shutdown,
) -> Result<Option<Arc<PostgresStore>>, CommandError> {
    let options = PostgresOptions {
        url: database_url(settings)?.clone(),
        max_connections: settings.database.max_connections,
        start_timeout: settings.database.start_timeout.get(),
    };
    let connecting = PostgresStore::connect(options, Arc::clone(ids));
    // Boxed: the future is large, and several layers would copy it.
    let waiting = with_progress_log("the database", Box::pin(connecting));
    let connected = shutdown.draining().run_until_cancelled(waiting).await;
    connected.transpose().map_err(|error| store_error(&error))
}

/// Creates the dispatcher: RabbitMQ if a broker is configured, else through the store. `component`
/// registers the broker's readiness.
pub fn start_dispatch(
    settings: &Settings,
    store: &Arc<dyn Store>,
    component: impl FnOnce() -> ComponentHandle,
) -> Result<Arc<dyn Dispatch>, CommandError> {
    let Some(url) = &settings.amqp.url else {
        return Ok(Arc::new(StoreDispatch::new(Arc::clone(store))));
    };
    let mut amqp = AmqpOptions::new(url.clone());
    amqp.prefix.clone_from(&settings.amqp.prefix);
    let started = AmqpDispatch::start(amqp, Some(component()));
    let started = started
        .map_err(|error| CommandError::usage(format!("configuration: amqp.url: {error}")))?;
    Ok(Arc::new(started))
}

/// Waits for the broker if `amqp.required` is set. Otherwise the connection is made in the
/// background, and workers probe the store until then.
pub async fn await_broker(
    settings: &Settings,
    dispatch: &dyn Dispatch,
    shutdown: &Shutdown,
) -> Result<(), CommandError> {
    if settings.amqp.url.is_none() || !settings.amqp.required {
        return Ok(());
    }
    let waiting = dispatch.wait_connected(settings.amqp.start_timeout.get());
    let waiting = with_progress_log("the broker", waiting);
    match shutdown.draining().run_until_cancelled(waiting).await {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(CommandError::failed(format!(
            "{error}; start the broker, or set amqp.required to false to work without it"
        ))),
    }
}

/// Runs `work`, and logs every few seconds what it waits for.
async fn with_progress_log<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let mut waited = Duration::ZERO;
    loop {
        if let Ok(done) = tokio::time::timeout(PROGRESS_LOG_INTERVAL, &mut work).await {
            return done;
        }
        waited += PROGRESS_LOG_INTERVAL;
        tracing::warn!(seconds = waited.as_secs(), "waiting for {what}");
    }
}
