//! The store on Postgres 14 or newer.
//!
//! Guarantee: every answer describes committed and flushed data. Claims, leases and hints are the
//! exception: they assign no log sequence, so their commits do not wait for the disk.
//!
//! A unit of work is one statement or one short transaction. When the process, the server or the
//! connection dies in the middle, the unit happened completely or not at all, and a repeat is
//! recognised. The store recovers without help when the server comes back.

mod api_keys;
mod column;
mod connection_cache;
mod db;
mod entry;
mod error;
mod intake;
mod migrate;
mod operator;
mod pool;
mod read_slots;
mod reading;
mod registry;
mod retry;
mod schedules;
mod server;
mod signals;
pub mod statements;
mod work;
mod worker_sessions;
mod write;

use async_trait::async_trait;
use db::Db;
use intake::{accept_new::NewTask, follow_up::NewMessage};
use longhaul_runtime::{IdSource, Secret, TaskSet};
use longhaul_store::{
    Accepted, ClaimRequest, ClaimedRun, FollowedUp, Result, Store,
    batcher::{BatchLimits, CallBatcher},
};
use pool::ConnectionPools;
use read_slots::ReadSlots;
use retry::retry_until_connected;
use server::{Servers, SessionKind, database};
use signals::SignalHub;
use sqlx_core::connection::Connection;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use work::run_write::{RunWrite, WriteOutcome};
use worker_sessions::WorkerSessions;

/// Minimum batch size for starting while another batch is in flight. Smaller batches wait and join
/// the next one.
const MIN_CALLS_ALONGSIDE: usize = 32;

/// Most output writes per batch. Hundreds of streams at the pace of a language model produce that
/// many during one commit, and each batch costs the server as much as a dozen of them.
const MAX_WRITES_PER_BATCH: usize = 512;

/// Connection settings.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, with one or more hosts. A direct connection,
    /// or a pooler in session mode.
    pub url: Secret<String>,
    /// Connections for reads and synchronous writes, at least 2. Claims, leases and notifications
    /// use five more, and a process with workers one more for their session locks.
    pub max_connections: u32,
    /// Longest wait for the database at start.
    pub start_timeout: Duration,
}

impl PostgresOptions {
    /// Creates options with 16 connections and a start timeout of 30 seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url.into()),
            max_connections: 16,
            start_timeout: Duration::from_secs(30),
        }
    }
}

/// A store on a Postgres database.
pub struct PostgresStore {
    db: Arc<Db>,
    pools: ConnectionPools,
    background: TaskSet,
    sessions: WorkerSessions,
    new_tasks: CallBatcher<NewTask, Accepted>,
    messages: CallBatcher<NewMessage, FollowedUp>,
    claims: CallBatcher<ClaimRequest, Vec<ClaimedRun>>,
    writes: CallBatcher<RunWrite, WriteOutcome>,
}

impl PostgresStore {
    /// Connects to the database, waiting for it up to the start timeout.
    ///
    /// Fails unless the schema fits, the server is writable, sessions are kept and notifications
    /// arrive. Must be called within a Tokio runtime.
    pub async fn connect(options: PostgresOptions, ids: Arc<dyn IdSource>) -> Result<Arc<Self>> {
        let servers = Servers::new(server::parse(&options.url)?);
        let max_connections = options.max_connections.max(2);
        let pools = ConnectionPools::new(&servers, max_connections);
        let sender = u64::try_from(ids.random_u128() >> 64).unwrap_or_default();
        let background = TaskSet::new();
        let hub = Arc::new(SignalHub::new(sender, background.stopping().clone()));
        let started = retry_until_connected(&options.url, options.start_timeout, || async {
            let mut connection = servers.open(SessionKind::Plain).await?;
            database::check_sessions(&servers, &mut connection).await?;
            database::check(&mut connection).await?;
            migrate::check(&mut connection).await?;
            connection.close().await?;
            database::check_settings(&pools.synchronous).await?;
            signals::verify_delivery(&hub, &servers, &pools.relaxed).await
        });
        // Boxed: the connect future is large.
        let listener = Box::pin(started).await?;
        let stop = background.stopping();
        let notifier =
            signals::run_notifier(Arc::clone(&hub), pools.relaxed_cache.clone(), stop.clone());
        background.spawn("postgres notifier", notifier);
        let listening = signals::listen(Arc::clone(&hub), servers.clone(), listener);
        background.spawn("postgres listener", run_until_stopped(stop.clone(), listening));
        let searched = servers.clone();
        let search = async move { searched.run_search().await };
        background.spawn("postgres primary search", run_until_stopped(stop.clone(), search));
        let db = Db::new(&pools, servers.clone(), ReadSlots::new(max_connections), ids, hub);
        let sessions = WorkerSessions::new(servers);
        Ok(Arc::new(Self::assemble(Arc::new(db), pools, background, sessions)))
    }

    /// Migrates the database at this address to this program's schema; returns the names of the
    /// applied migrations.
    ///
    /// Waits for the database up to the timeout. Any number of processes may run it at once.
    pub async fn migrate(
        url: impl Into<Secret<String>>,
        start_timeout: Duration,
    ) -> Result<Vec<String>> {
        let url = url.into();
        let servers = Servers::new(server::parse(&url)?);
        let mut connection =
            retry_until_connected(&url, start_timeout, || servers.open(SessionKind::Plain)).await?;
        database::check(&mut connection).await?;
        Ok(migrate::migrate(&mut connection).await?)
    }

    fn assemble(
        db: Arc<Db>,
        pools: ConnectionPools,
        background: TaskSet,
        sessions: WorkerSessions,
    ) -> Self {
        let limits =
            BatchLimits { min_calls_alongside: MIN_CALLS_ALONGSIDE, ..BatchLimits::default() };
        let [new, follow, claim, write] = std::array::from_fn(|_| Arc::clone(&db));
        Self {
            new_tasks: CallBatcher::start("accepting tasks", limits, move |batch| {
                intake::accept_new::accept_batch(Arc::clone(&new), batch)
            }),
            messages: CallBatcher::start("accepting messages", limits, move |batch| {
                intake::follow_up::accept_batch(Arc::clone(&follow), batch)
            }),
            claims: CallBatcher::start(
                "claiming",
                BatchLimits { max_in_flight: 1, ..limits },
                move |batch| work::claim::claim_batch(Arc::clone(&claim), batch),
            ),
            writes: CallBatcher::start(
                "writing output",
                BatchLimits { max_calls: MAX_WRITES_PER_BATCH, ..limits },
                move |batch| work::locking_path::run_batch(Arc::clone(&write), batch),
            ),
            db,
            pools,
            background,
            sessions,
        }
    }
}

/// Runs an endless task until the token is cancelled.
async fn run_until_stopped(stop: CancellationToken, endless: impl Future<Output = ()> + Send) {
    let _ = stop.run_until_cancelled(endless).await;
}

#[async_trait]
impl Store for PostgresStore {
    async fn check(&self) -> Result<()> {
        let acquired = self.db.pool.acquire().await;
        let mut connection = acquired.map_err(|error| self.db.cache.acquire_error(error))?;
        if migrate::is_current_and_writable(&mut connection).await {
            return Ok(());
        }
        self.db.servers.verify(&mut *connection).await?;
        Ok(migrate::check(&mut connection).await?)
    }

    async fn close(&self) {
        self.background.stop_and_wait().await;
        self.pools.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_do_not_show_the_password() {
        let options = PostgresOptions::new("postgres://u:hunter2@h/d");
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
