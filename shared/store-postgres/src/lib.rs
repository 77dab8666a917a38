//! The store on Postgres, 14 or newer.
//!
//! Guarantee: whatever is answered is committed and flushed, but for claims, leases and hints, which assign no place in a log.
//! A unit of work is one statement or one short transaction; when the process, the server or the connection dies in the
//! middle, it happened whole or not at all, and its repetition is recognised. The store recovers by itself when the server
//! comes back.

mod column;
mod connect;
mod db;
mod entry;
mod failure;
mod intake;
mod kept;
mod keys;
mod migrate;
mod operate;
mod options;
mod reading;
mod registry;
mod replay;
mod roles;
mod schedules;
mod server;
mod session;
mod signals;
mod slots;
mod sockets;
pub mod statements;
mod work;
mod write;

pub use options::PostgresOptions;

use connect::{Pools, waiting};
use db::Db;
use intake::{accept_new::NewTask, follow_up::NewMessage};
use longhaul_runtime::{IdSource, Secret, TaskSet};
use longhaul_store::{
    Accepted, ClaimRequest, ClaimedRun, FollowedUp, Result,
    batcher::{BatchLimits, CallBatcher},
};
use server::{Servers, SessionKind, database};
use session::Sessions;
use signals::Hub;
use slots::Slots;
use sqlx_core::connection::Connection;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use work::output::{Write, Wrote};

/// So many calls are worth a commit of their own while another batch is being committed.
const BESIDE: usize = 32;

/// Calls that write output in one batch. Hundreds of streams at the pace of a language model bring that many within the time
/// of one commit, and each batch costs the server as much as a dozen of them.
const WRITES: usize = 512;

/// A store on a Postgres database.
pub struct PostgresStore {
    db: Arc<Db>,
    pools: Pools,
    background: TaskSet,
    sessions: Sessions,
    new_tasks: CallBatcher<NewTask, Accepted>,
    messages: CallBatcher<NewMessage, FollowedUp>,
    claims: CallBatcher<ClaimRequest, Vec<ClaimedRun>>,
    writes: CallBatcher<Write, Wrote>,
}

impl PostgresStore {
    /// Connects, waiting for the database up to the limit, and checks that it has the right schema, can write, and that
    /// notifications arrive. Must be called within a Tokio runtime.
    pub async fn connect(options: PostgresOptions, ids: Arc<dyn IdSource>) -> Result<Arc<Self>> {
        let servers = Servers::new(server::parse(&options.url)?);
        let max_connections = options.max_connections.max(2);
        let pools = Pools::new(&servers, max_connections);
        let sender = u64::try_from(ids.random_u128() >> 64).unwrap_or_default();
        let background = TaskSet::new();
        let hub = Arc::new(Hub::new(sender, background.stopping().clone()));
        let started = waiting(&options.url, options.start_timeout, || async {
            let mut connection = servers.open(SessionKind::Plain).await?;
            database::check_sessions(&servers, &mut connection).await?;
            database::check(&mut connection).await?;
            migrate::check(&mut connection).await?;
            connection.close().await?;
            database::check_settings(&pools.synchronous).await?;
            signals::verify(&hub, &servers, &pools.relaxed).await
        });
        // Boxed, because connecting is large.
        let listener = Box::pin(started).await?;
        let stop = background.stopping();
        let notifier = signals::notify(Arc::clone(&hub), pools.hot_relaxed.clone(), stop.clone());
        background.spawn("postgres notifier", notifier);
        let listening = signals::listen(Arc::clone(&hub), servers.clone(), listener);
        background.spawn("postgres listener", until(stop.clone(), listening));
        let searching = servers.clone();
        let searching = until(stop.clone(), async move { searching.search_forever().await });
        background.spawn("postgres primary search", searching);
        let db = Db::new(&pools, servers.clone(), Slots::new(max_connections), ids, hub);
        let sessions = Sessions::new(servers);
        Ok(Arc::new(Self::assemble(Arc::new(db), pools, background, sessions)))
    }

    /// Brings the database at this address to the schema of this program, waiting for it up to the limit. Gives the names
    /// of what was applied. Any number may run at once.
    pub async fn migrate(
        url: impl Into<Secret<String>>,
        start_timeout: Duration,
    ) -> Result<Vec<String>> {
        let url = url.into();
        let servers = Servers::new(server::parse(&url)?);
        let mut connection =
            waiting(&url, start_timeout, || servers.open(SessionKind::Plain)).await?;
        database::check(&mut connection).await?;
        Ok(migrate::migrate(&mut connection).await?)
    }

    fn assemble(db: Arc<Db>, pools: Pools, background: TaskSet, sessions: Sessions) -> Self {
        let bounds = BatchLimits { min_calls_alongside: BESIDE, ..BatchLimits::default() };
        let with = |db: &Arc<Db>| Arc::clone(db);
        let (new, follow, claim, write) = (with(&db), with(&db), with(&db), with(&db));
        Self {
            new_tasks: CallBatcher::start("accepting tasks", bounds, move |batch| {
                intake::accept_new::run(Arc::clone(&new), batch)
            }),
            messages: CallBatcher::start("accepting messages", bounds, move |batch| {
                intake::follow_up::run(Arc::clone(&follow), batch)
            }),
            claims: CallBatcher::start(
                "claiming",
                BatchLimits { max_in_flight: 1, ..bounds },
                move |batch| work::claim::run(Arc::clone(&claim), batch),
            ),
            writes: CallBatcher::start(
                "writing output",
                BatchLimits { calls: WRITES, ..bounds },
                move |batch| work::output::run(Arc::clone(&write), batch),
            ),
            db,
            pools,
            background,
            sessions,
        }
    }
}

/// Runs something that never ends until it shall stop.
async fn until(stop: CancellationToken, endless: impl Future<Output = ()> + Send) {
    let _ = stop.run_until_cancelled(endless).await;
}
