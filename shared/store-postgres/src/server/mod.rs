//! Finds and verifies the primary behind the database's URL.
//!
//! Guarantee: a connection is used only after its server was verified as the primary of the history
//! that this process has written to. Connections are verified when they are opened, when they
//! return to their pool, before use after a pause, and after any server turned out to be wrong or
//! silent. After such a suspicion no connection that was idle before is reused unverified.
//!
//! With several hosts in the URL, all are tried until one is the primary; the pools and the
//! sessions outside of them follow it.

pub mod database;
mod primary;
mod session_settings;
mod sockets;
mod url;

pub use primary::VERIFY_SERVER;
pub use session_settings::SessionKind;
pub use url::parse;

use crate::error::{DbError, DbResult};
use futures::{StreamExt, stream::FuturesUnordered};
use longhaul_runtime::Backoff;
use primary::{ClusterTimeline, PrimaryStatus, ServerStatus};
use sockets::{tcp_port, tune_connections_to};
use sqlx_core::{
    connection::{ConnectOptions, Connection},
    error::Error,
    executor::Executor,
    from_row::FromRow,
    query_as::query_as,
    raw_sql::raw_sql,
    sql_str::AssertSqlSafe,
};
use sqlx_postgres::{PgConnectOptions, PgConnection, PgPool, PgRow, Postgres};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use url::host_port;

/// Reads the cluster's system identifier.
const READ_SYSTEM: &str = ", (select system_identifier from pg_control_system()) as system";

/// Longest wait for the answer of an idle connection. TCP reports a silent peer only after about 15
/// minutes; until then the connection would occupy a pool slot.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time for one host to accept a connection during a search.
const HOST_TIMEOUT: Duration = Duration::from_secs(5);

/// Head start of the current host over the others, and of each host over the next in the list.
const HOST_HEAD_START: Duration = Duration::from_millis(250);

/// Pause between attempts at one host during a search.
const SEARCH_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_millis(500),
    jitter: true,
};

/// The servers behind one URL. Clones share their state.
#[derive(Clone)]
pub struct Servers(Arc<ServersInner>);

struct ServersInner {
    hosts: Vec<PgConnectOptions>,
    /// TCP ports of the hosts.
    ports: BTreeSet<u16>,
    /// Index of the current host.
    current: watch::Sender<usize>,
    /// Time at which a server was last found to be wrong or silent.
    suspected: watch::Sender<Option<Instant>>,
    lineage: Mutex<ClusterTimeline>,
    /// Reason why the last server was refused; cleared when one is admitted.
    refusal: Mutex<Option<String>>,
    /// Set where this role may not read the cluster's system identifier.
    hides_system: AtomicBool,
    /// Pools whose connect options follow the current host.
    pools: Mutex<Vec<(PgPool, SessionKind)>>,
    search: Notify,
}

impl Servers {
    /// Creates the list of servers from at least one host.
    pub fn new(hosts: Vec<PgConnectOptions>) -> Self {
        let ports = hosts.iter().filter_map(tcp_port).collect();
        Self(Arc::new(ServersInner {
            hosts,
            ports,
            current: watch::Sender::new(0),
            suspected: watch::Sender::default(),
            lineage: Mutex::default(),
            refusal: Mutex::default(),
            hides_system: AtomicBool::new(false),
            pools: Mutex::default(),
            search: Notify::new(),
        }))
    }

    /// Connect options for the current host.
    pub fn options(&self, kind: SessionKind) -> PgConnectOptions {
        self.options_at(*self.0.current.borrow(), kind)
    }

    fn options_at(&self, host: usize, kind: SessionKind) -> PgConnectOptions {
        let options = self.0.hosts[host % self.0.hosts.len()].clone().disable_statement_logging();
        match kind {
            SessionKind::Synchronous | SessionKind::Relaxed => {
                options.statement_cache_capacity(200)
            }
            SessionKind::Listening | SessionKind::Watched | SessionKind::Plain => options,
        }
    }

    /// Keeps a pool's connect options on the current host.
    pub fn track_pool(&self, pool: PgPool, kind: SessionKind) {
        lock(&self.0.pools).push((pool, kind));
    }

    /// Reports each change of the current host.
    pub fn host_changes(&self) -> watch::Receiver<usize> {
        self.0.current.subscribe()
    }

    /// Reports each suspicion. Idle connections must then be verified.
    pub fn suspicions(&self) -> watch::Receiver<Option<Instant>> {
        self.0.suspected.subscribe()
    }

    /// Records that a server is wrong or silent and starts a search. Other connections probably
    /// have the same problem.
    pub fn suspect(&self) {
        self.0.suspected.send_replace(Some(Instant::now()));
        self.request_search();
    }

    /// Starts a search for the primary. Does nothing with a single host.
    pub fn request_search(&self) {
        self.0.search.notify_one();
    }

    /// Returns whether a connection that has been idle for this long was last used before the last
    /// suspicion.
    ///
    /// Such a connection is dropped without verification, because each may take as long to answer
    /// as the first.
    pub fn is_stale(&self, idle: Duration) -> bool {
        let suspected = *self.0.suspected.borrow();
        suspected.is_some_and(|suspected| suspected.elapsed() < idle)
    }

    /// Returns whether a connection was verified after the last suspicion.
    pub fn is_trusted(&self, verified: Instant) -> bool {
        let suspected = *self.0.suspected.borrow();
        suspected.is_none_or(|suspected| suspected < verified)
    }

    /// Reason why the last server was refused, unless one was admitted since.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.0.refusal).clone()
    }

    /// Sets socket options and session settings and verifies the server, in one round trip. A wrong
    /// server also makes other connections suspect.
    pub async fn set_up_session(
        &self,
        connection: &mut PgConnection,
        kind: SessionKind,
    ) -> DbResult<()> {
        let (facts, system) = self.prepare(connection, kind).await?;
        self.admit(&facts, system).inspect_err(|failure| self.record_refusal(failure))
    }

    async fn prepare(
        &self,
        connection: &mut PgConnection,
        kind: SessionKind,
    ) -> DbResult<(ServerStatus, Option<i64>)> {
        for port in &self.0.ports {
            tune_connections_to(Some(*port)).await;
        }
        let system_hidden = self.0.hides_system.load(Ordering::Relaxed);
        match self.query_status(connection, kind, !system_hidden).await {
            // The failed statement rolled back the settings before it, so set everything again.
            Err(DbError::Denied(_) | DbError::Unavailable(_) | DbError::Schema(_))
                if !system_hidden =>
            {
                let answer = self.query_status(connection, kind, false).await?;
                self.0.hides_system.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            answer => answer,
        }
    }

    async fn query_status(
        &self,
        connection: &mut PgConnection,
        kind: SessionKind,
        with_system: bool,
    ) -> DbResult<(ServerStatus, Option<i64>)> {
        let system = if with_system { READ_SYSTEM } else { "" };
        let sql = format!("{}{VERIFY_SERVER}{system}", kind.setup());
        let rows: Vec<PgRow> = raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
        let row = rows.last().ok_or_else(|| DbError::ConnectionLost("no answer".to_owned()))?;
        let system = if with_system { sqlx_core::row::Row::try_get(row, "system")? } else { None };
        Ok((ServerStatus::from_row(row)?, system))
    }

    /// Verifies that a connection is alive and leads to the primary. On failure the connection must
    /// be dropped; others become suspect too.
    pub async fn verify<'c, E>(&self, connection: E) -> DbResult<()>
    where
        E: Executor<'c, Database = Postgres>,
    {
        let query = query_as::<_, ServerStatus>(VERIFY_SERVER).fetch_one(connection);
        let Ok(answer) = timeout(VERIFY_TIMEOUT, query).await else {
            self.suspect();
            return Err(DbError::ConnectionLost("no answer".to_owned()));
        };
        // A broken connection says nothing about the others, but the server may be gone.
        let facts = answer.inspect_err(|_| self.request_search())?;
        self.admit(&facts, None).inspect_err(|failure| self.record_refusal(failure))
    }

    fn admit(&self, facts: &ServerStatus, system: Option<i64>) -> DbResult<()> {
        let admission = lock(&self.0.lineage).admit(facts, system)?;
        *lock(&self.0.refusal) = None;
        if admission == PrimaryStatus::Promoted {
            tracing::warn!("database failover: closing connections to the former primary");
            self.suspect();
        }
        Ok(())
    }

    fn record_refusal(&self, failure: &DbError) {
        let cause = failure.to_string();
        let mut refusal = lock(&self.0.refusal);
        if refusal.as_ref() != Some(&cause) {
            tracing::warn!(cause, "database server refused");
            *refusal = Some(cause);
        }
        drop(refusal);
        self.suspect();
    }

    /// Opens a connection outside of the pools to whichever host is the primary, which becomes the
    /// current host.
    pub async fn open(&self, kind: SessionKind) -> DbResult<PgConnection> {
        let first = *self.0.current.borrow();
        let count = self.0.hosts.len();
        let mut attempts: FuturesUnordered<_> = (0..count)
            .map(|turn| {
                // The current host has a head start, so it wins while it is healthy.
                let (host, delay) =
                    ((first + turn) % count, HOST_HEAD_START * u32::try_from(turn).unwrap_or(0));
                async move {
                    sleep(delay).await;
                    (host, self.open_at(host, kind).await)
                }
            })
            .collect();
        let mut failures = Vec::new();
        while let Some((host, outcome)) = attempts.next().await {
            match outcome {
                Ok(connection) => {
                    self.use_host(host);
                    return Ok(connection);
                }
                Err(failure) => failures.push((host, failure)),
            }
        }
        Err(self.combined_error(failures))
    }

    async fn open_at(&self, host: usize, kind: SessionKind) -> DbResult<PgConnection> {
        let options = self.options_at(host, kind);
        let opening = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let (facts, system) = self.prepare(&mut connection, kind).await?;
            // A standby in the host list is expected and makes no other connection suspect.
            self.admit(&facts, system).inspect_err(|failure| {
                *lock(&self.0.refusal) = Some(failure.to_string());
            })?;
            Ok(connection)
        };
        let opened = timeout(HOST_TIMEOUT, opening).await;
        opened.unwrap_or_else(|_| Err(DbError::ConnectionLost("no answer".to_owned())))
    }

    /// Combines the errors of all hosts. The result is permanent only if every error is.
    fn combined_error(&self, mut failures: Vec<(usize, DbError)>) -> DbError {
        if failures.len() < 2 {
            let only = failures.pop().map(|(_, failure)| failure);
            return only.unwrap_or_else(|| DbError::ConnectionLost("no host".to_owned()));
        }
        failures.sort_by_key(|(host, _)| *host);
        // One host that may recover makes waiting worthwhile.
        let permanent = failures.iter().all(|(_, failure)| failure.is_permanent());
        let causes: Vec<String> = failures
            .iter()
            .map(|(host, failure)| format!("{}: {failure}", host_port(&self.0.hosts[*host])))
            .collect();
        let cause = causes.join("; ");
        if permanent { DbError::Denied(cause) } else { DbError::ConnectionLost(cause) }
    }

    fn use_host(&self, host: usize) {
        // Moving to the current host would only raise needless suspicion.
        if *self.0.current.borrow() == host {
            return;
        }
        let options = &self.0.hosts[host];
        tracing::info!(server = host_port(options), "database primary moved");
        // New connections go to the new host; the suspicion below retires the idle ones.
        for (pool, kind) in &*lock(&self.0.pools) {
            pool.set_connect_options(self.options_at(host, *kind));
        }
        self.0.current.send_replace(host);
        self.suspect();
    }

    /// Searches for the primary whenever a search is requested, forever. Returns at once with a
    /// single host.
    pub async fn run_search(&self) {
        if self.0.hosts.len() == 1 {
            return;
        }
        loop {
            self.0.search.notified().await;
            // Hosts are tried concurrently: a silent one must not delay the others.
            let mut searches: FuturesUnordered<_> =
                (0..self.0.hosts.len()).map(|host| self.wait_for_primary(host)).collect();
            if let Some((host, connection)) = searches.next().await {
                // Stop the other attempts before switching.
                drop(searches);
                self.use_host(host);
                let _ = timeout(VERIFY_TIMEOUT, connection.close()).await;
            }
            // One search serves all requests made while it ran.
            sleep(SEARCH_BACKOFF.max).await;
        }
    }

    /// Tries one host until it is the primary.
    async fn wait_for_primary(&self, host: usize) -> (usize, PgConnection) {
        if host != *self.0.current.borrow() {
            sleep(HOST_HEAD_START).await;
        }
        let mut attempt = 0;
        loop {
            match self.open_at(host, SessionKind::Plain).await {
                Ok(connection) => return (host, connection),
                Err(failure) => tracing::debug!(?failure, host, attempt, "host is not the primary"),
            }
            sleep(SEARCH_BACKOFF.random_delay(attempt)).await;
            attempt = attempt.saturating_add(1);
        }
    }
}

/// Converts an error into the type that pool hooks return.
pub fn hook_error(failure: &DbError) -> Error {
    Error::Protocol(failure.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::Secret;

    fn servers(url: &str) -> Servers {
        Servers::new(parse(&Secret::new(url.to_owned())).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn connections_from_before_a_suspicion_are_not_trusted() {
        let servers = servers("postgres://h/d");
        let before = Instant::now();
        assert!(!servers.is_stale(Duration::from_secs(600)) && servers.is_trusted(before));
        servers.suspect();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(servers.is_stale(Duration::from_secs(4)), "idle since before");
        assert!(!servers.is_stale(Duration::from_secs(2)), "used since");
        assert!(!servers.is_trusted(before) && servers.is_trusted(Instant::now()));
    }

    #[tokio::test]
    async fn a_failure_of_all_hosts_names_each() {
        let servers = servers("postgres://127.0.0.1:1,127.0.0.1:2/d");
        let failure = servers.open(SessionKind::Plain).await.map(drop).unwrap_err();
        let DbError::ConnectionLost(cause) = failure else { panic!("{failure:?}") };
        assert!(cause.contains("127.0.0.1:1: ") && cause.contains("127.0.0.1:2: "), "{cause}");
    }
}
