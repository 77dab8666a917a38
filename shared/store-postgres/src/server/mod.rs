//! The servers behind the database's URL, and the one in use.
//!
//! Guarantee: a connection is used only after its server was seen to be the primary of the history that this process has
//! written to. That is checked when a connection is made, when it goes back to its pool, before it is used after a pause,
//! and whenever a server was found to be the wrong one or silent. Then no connection that was idle before is used again.
//!
//! Where the URL names several hosts, all are asked until one is the primary; pools and the sessions outside of them follow.

mod address;
pub mod database;
mod facts;
mod session;

pub use address::parse;
pub use facts::VERIFY_SERVER;
pub use session::SessionKind;

use crate::{
    failure::{DbResult, Failure},
    sockets::{tcp_port, tune},
};
use facts::{Admission, Lineage, ServerFacts};
use futures::{StreamExt, stream::FuturesUnordered};
use longhaul_runtime::Backoff;
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

/// Asks for the number of the database cluster.
const READ_SYSTEM: &str = ", (select system_identifier from pg_control_system()) as system";

/// Longest wait for the answer of a connection that nobody uses. One whose other end has gone silent says nothing until TCP
/// gives up, which takes a quarter of an hour; it must not keep its place in a pool for so long.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time for one host to accept a connection while the primary is looked for.
const HOST_TIMEOUT: Duration = Duration::from_secs(5);

/// Head start of the host in use over the others, and of each over the next one of the list.
const HEAD_START: Duration = Duration::from_millis(250);

/// Pause between two questions to a host while the primary is looked for.
const SEARCH: Backoff = Backoff {
    initial: Duration::from_millis(100),
    factor: 2.0,
    max: Duration::from_millis(500),
    jitter: true,
};

/// The servers behind one URL; clones share what is known of them.
#[derive(Clone)]
pub struct Servers(Arc<Inner>);

struct Inner {
    hosts: Vec<PgConnectOptions>,
    /// The TCP ports of the hosts.
    ports: BTreeSet<u16>,
    /// The position of the host in use.
    current: watch::Sender<usize>,
    /// When a server was last found to be the wrong one, or silent.
    suspected: watch::Sender<Option<Instant>>,
    lineage: Mutex<Lineage>,
    /// Why the last server was refused; `None` once one was admitted.
    refusal: Mutex<Option<String>>,
    /// Set where the server does not let this role read the cluster's number.
    hides_system: AtomicBool,
    /// Pools that follow to another host.
    pools: Mutex<Vec<(PgPool, SessionKind)>>,
    search: Notify,
}

impl Servers {
    /// The servers at these hosts, of which there is at least one.
    pub fn new(hosts: Vec<PgConnectOptions>) -> Self {
        let ports = hosts.iter().filter_map(tcp_port).collect();
        Self(Arc::new(Inner {
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

    /// How to reach the host in use.
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

    /// Keeps a pool's options on the host in use.
    pub fn follow(&self, pool: PgPool, kind: SessionKind) {
        lock(&self.0.pools).push((pool, kind));
    }

    /// Reports each change of the host in use.
    pub fn moves(&self) -> watch::Receiver<usize> {
        self.0.current.subscribe()
    }

    /// Reports each suspicion. Connections that nobody uses must then be verified.
    pub fn suspicions(&self) -> watch::Receiver<Option<Instant>> {
        self.0.suspected.subscribe()
    }

    /// Notes that a server is the wrong one or silent: it is seldom the only connection of its kind.
    pub fn suspect(&self) {
        self.0.suspected.send_replace(Some(Instant::now()));
        self.search();
    }

    /// Has the primary looked for; without effect where there is one host.
    pub fn search(&self) {
        self.0.search.notify_one();
    }

    /// Whether a connection that has been idle for so long was last used before the last suspicion. It must be dropped
    /// unasked, as each such connection may take as long to answer as the first one.
    pub fn is_stale(&self, idle: Duration) -> bool {
        let suspected = *self.0.suspected.borrow();
        suspected.is_some_and(|suspected| suspected.elapsed() < idle)
    }

    /// Whether a connection was verified after the last suspicion.
    pub fn is_trusted(&self, verified: Instant) -> bool {
        let suspected = *self.0.suspected.borrow();
        suspected.is_none_or(|suspected| suspected < verified)
    }

    /// Why the last server was refused, if none was admitted since.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.0.refusal).clone()
    }

    /// Sets socket options and settings of a new session, and refuses a wrong server, in one round trip. Others that lead to
    /// such a server are suspected.
    pub async fn set_up(&self, connection: &mut PgConnection, kind: SessionKind) -> DbResult<()> {
        let (facts, system) = self.prepare(connection, kind).await?;
        self.admit(&facts, system).inspect_err(|failure| self.refuse(failure))
    }

    async fn prepare(
        &self,
        connection: &mut PgConnection,
        kind: SessionKind,
    ) -> DbResult<(ServerFacts, Option<i64>)> {
        for port in &self.0.ports {
            tune(Some(*port)).await;
        }
        let known_to_hide = self.0.hides_system.load(Ordering::Relaxed);
        match self.ask(connection, kind, !known_to_hide).await {
            // The statements before were rolled back with the one that failed.
            Err(Failure::Denied(_) | Failure::Unavailable(_) | Failure::Schema(_))
                if !known_to_hide =>
            {
                let answer = self.ask(connection, kind, false).await?;
                self.0.hides_system.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            answer => answer,
        }
    }

    async fn ask(
        &self,
        connection: &mut PgConnection,
        kind: SessionKind,
        with_system: bool,
    ) -> DbResult<(ServerFacts, Option<i64>)> {
        let system = if with_system { READ_SYSTEM } else { "" };
        let sql = format!("{}{VERIFY_SERVER}{system}", kind.setup());
        let rows: Vec<PgRow> = raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
        let row = rows.last().ok_or_else(|| Failure::Lost("no answer".to_owned()))?;
        let system = if with_system { sqlx_core::row::Row::try_get(row, "system")? } else { None };
        Ok((ServerFacts::from_row(row)?, system))
    }

    /// Checks that a connection lives and leads to the primary. When it does not, it is of no use, and others are
    /// suspected too.
    pub async fn verify<'c, E>(&self, connection: E) -> DbResult<()>
    where
        E: Executor<'c, Database = Postgres>,
    {
        let asked = query_as::<_, ServerFacts>(VERIFY_SERVER).fetch_one(connection);
        let Ok(answer) = timeout(VERIFY_TIMEOUT, asked).await else {
            self.suspect();
            return Err(Failure::Lost("no answer".to_owned()));
        };
        // A connection that broke says nothing about the others, but the server may have gone.
        let facts = answer.inspect_err(|_| self.search())?;
        self.admit(&facts, None).inspect_err(|failure| self.refuse(failure))
    }

    fn admit(&self, facts: &ServerFacts, system: Option<i64>) -> DbResult<()> {
        let admission = lock(&self.0.lineage).admit(facts, system)?;
        *lock(&self.0.refusal) = None;
        if admission == Admission::Promoted {
            tracing::warn!("database failover: connections to the former primary are closed");
            self.suspect();
        }
        Ok(())
    }

    fn refuse(&self, failure: &Failure) {
        let cause = failure.to_string();
        let mut refusal = lock(&self.0.refusal);
        if refusal.as_ref() != Some(&cause) {
            tracing::warn!(cause, "database server refused");
            *refusal = Some(cause);
        }
        drop(refusal);
        self.suspect();
    }

    /// A connection to the primary, outside of the pools, from whichever host has it. That host is the one in use from
    /// then on.
    pub async fn open(&self, kind: SessionKind) -> DbResult<PgConnection> {
        let first = *self.0.current.borrow();
        let count = self.0.hosts.len();
        let mut tries: FuturesUnordered<_> = (0..count)
            .map(|turn| {
                let (host, delay) =
                    ((first + turn) % count, HEAD_START * u32::try_from(turn).unwrap_or(0));
                async move {
                    sleep(delay).await;
                    (host, self.open_at(host, kind).await)
                }
            })
            .collect();
        let mut failures = Vec::new();
        while let Some((host, outcome)) = tries.next().await {
            match outcome {
                Ok(connection) => {
                    self.use_host(host);
                    return Ok(connection);
                }
                Err(failure) => failures.push((host, failure)),
            }
        }
        Err(self.all_failed(failures))
    }

    async fn open_at(&self, host: usize, kind: SessionKind) -> DbResult<PgConnection> {
        let options = self.options_at(host, kind);
        let opening = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let (facts, system) = self.prepare(&mut connection, kind).await?;
            // A standby among the hosts is no news, and says nothing about connections to the others.
            self.admit(&facts, system).inspect_err(|failure| {
                *lock(&self.0.refusal) = Some(failure.to_string());
            })?;
            Ok(connection)
        };
        let opened = timeout(HOST_TIMEOUT, opening).await;
        opened.unwrap_or_else(|_| Err(Failure::Lost("no answer".to_owned())))
    }

    /// One failure for all hosts. Waiting helps if it helps with one of them.
    fn all_failed(&self, mut failures: Vec<(usize, Failure)>) -> Failure {
        if failures.len() < 2 {
            let only = failures.pop().map(|(_, failure)| failure);
            return only.unwrap_or_else(|| Failure::Lost("no host".to_owned()));
        }
        failures.sort_by_key(|(host, _)| *host);
        let permanent = failures.iter().all(|(_, failure)| failure.is_permanent());
        let causes: Vec<String> = failures
            .iter()
            .map(|(host, failure)| format!("{}: {failure}", place(&self.0.hosts[*host])))
            .collect();
        let cause = causes.join("; ");
        if permanent { Failure::Denied(cause) } else { Failure::Lost(cause) }
    }

    fn use_host(&self, host: usize) {
        if *self.0.current.borrow() == host {
            return;
        }
        let options = &self.0.hosts[host];
        tracing::info!(server = place(options), "database primary found at another host");
        for (pool, kind) in &*lock(&self.0.pools) {
            pool.set_connect_options(self.options_at(host, *kind));
        }
        self.0.current.send_replace(host);
        self.suspect();
    }

    /// Looks for the primary whenever there is doubt, for ever. With one host there is nowhere else to look.
    pub async fn search_forever(&self) {
        if self.0.hosts.len() == 1 {
            return;
        }
        loop {
            self.0.search.notified().await;
            // Each host at its own pace: one that does not answer must not hold up the others.
            let mut searches: FuturesUnordered<_> =
                (0..self.0.hosts.len()).map(|host| self.until_primary(host)).collect();
            if let Some((host, connection)) = searches.next().await {
                drop(searches);
                self.use_host(host);
                let _ = timeout(VERIFY_TIMEOUT, connection.close()).await;
            }
            // One search serves all who asked for it meanwhile.
            sleep(SEARCH.max).await;
        }
    }

    /// Asks one host until it is the primary.
    async fn until_primary(&self, host: usize) -> (usize, PgConnection) {
        if host != *self.0.current.borrow() {
            sleep(HEAD_START).await;
        }
        let mut attempt = 0;
        loop {
            match self.open_at(host, SessionKind::Plain).await {
                Ok(connection) => return (host, connection),
                Err(failure) => tracing::debug!(?failure, host, attempt, "no primary"),
            }
            sleep(SEARCH.random_delay(attempt)).await;
            attempt = attempt.saturating_add(1);
        }
    }
}

/// Host and port, or socket and port, without anything secret.
pub fn place(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    match options.get_socket() {
        Some(socket) => format!("{}:{port}", socket.display()),
        None if options.get_host().contains(':') => format!("[{}]:{port}", options.get_host()),
        None => format!("{}:{port}", options.get_host()),
    }
}

/// A failure as a hook of a pool returns it.
pub fn refused(failure: &Failure) -> Error {
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
        let Failure::Lost(cause) = failure else { panic!("{failure:?}") };
        assert!(cause.contains("127.0.0.1:1: ") && cause.contains("127.0.0.1:2: "), "{cause}");
    }
}
