//! Where the database is, and how sessions are set up.
//!
//! Every hot statement walks indexes from a handful of keys; a plan that reads a table whole, or hashes one, is never right
//! for it. Sessions therefore plan once per statement (generic plans) and only with index walks, which makes the plans in
//! production the ones that the tests look at.

use longhaul_runtime::{Secret, redact_url};
use sqlx_core::{
    connection::{ConnectOptions, Connection},
    error::Error,
};
use sqlx_postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use std::{
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

use crate::{
    failure::{DbResult, Failure},
    sockets::{tcp_port, tune},
};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`: a direct connection, not a pooler's.
    pub url: Secret<String>,
    /// Connections for reads and synchronous writes, at least 2. Five more serve claims, leases and
    /// notifications, and one the session of workers, where there are any.
    pub max_connections: u32,
    /// How long to wait for the database at start.
    pub start_timeout: Duration,
}

impl PostgresOptions {
    /// 16 connections and 30 seconds of patience at start.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url.into()),
            max_connections: 16,
            start_timeout: Duration::from_secs(30),
        }
    }
}

/// What every session sets.
const SESSION: [(&str, &str); 17] = [
    ("statement_timeout", "10s"),
    // A process that was frozen within a transaction keeps its locks no longer than this.
    ("idle_in_transaction_session_timeout", "5s"),
    ("lock_timeout", "8s"),
    ("default_transaction_isolation", "read committed"),
    ("timezone", "UTC"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    // A bitmap reads all that a page is the beginning of.
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("client_min_messages", "warning"),
    // The server, too, finds out that the other end is gone, and frees what it had locked.
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30s"),
];

/// What the session that listens sets.
const LISTENING: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30s"),
];

/// What the session sets that shows that workers live. The server finds out in about 10 seconds that a machine is gone.
const WATCHED: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "4"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];

/// How long a caller waits for a connection.
pub const ACQUIRE: Duration = Duration::from_secs(5);

/// A connection that was idle for longer is asked whether it lives before it is used.
pub const FRESH: Duration = Duration::from_secs(1);

/// How long a connection that nobody uses may take to say that it lives. One whose other end has gone silent says nothing
/// until TCP gives up, which takes a quarter of an hour; it must not keep its place in the pool for so long.
const PING: Duration = Duration::from_secs(2);

/// Whether a session's commits wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// They do: everything that assigns a place in a log or answers a client.
    Synchronous,
    /// They do not: claims, leases and hints.
    Relaxed,
}

/// Reads an address without showing it in the error.
pub fn parse(url: &Secret<String>) -> DbResult<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| {
        Failure::Unavailable(format!(
            "{} is no Postgres address; it should look like postgres://user:password@host:5432/database",
            redact_url(url.expose())
        ))
    })?;
    Ok(options.application_name("longhaul"))
}

/// Session settings for the store's statements.
pub fn session(options: PgConnectOptions, durability: Durability) -> PgConnectOptions {
    let options =
        options.options(SESSION).statement_cache_capacity(200).disable_statement_logging();
    match durability {
        Durability::Synchronous => options,
        // None of these statements takes long, and each is given up early so that workers keep their leases.
        Durability::Relaxed => {
            options.options([("synchronous_commit", "off"), ("statement_timeout", "8s")])
        }
    }
}

/// Settings of the session that listens.
pub fn listening(options: PgConnectOptions) -> PgConnectOptions {
    options.options(LISTENING).disable_statement_logging()
}

/// Settings of the session that shows that workers live.
pub fn watched(options: PgConnectOptions) -> PgConnectOptions {
    options.options(WATCHED).disable_statement_logging()
}

/// When a connection was last found to be silent. One of them is seldom the only one: those that have not been heard of since
/// are dropped without being asked, as each of them would take as long.
#[derive(Debug, Clone, Default)]
pub struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    fn found(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection that has been idle for so long was last heard of before another one fell silent.
    pub fn covers(&self, idle: Duration) -> bool {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_some_and(|found| found.elapsed() < idle)
    }
}

/// A pool that opens connections when they are needed.
pub fn pool(options: PgConnectOptions, connections: u32, silence: &Silence) -> PgPool {
    let (before, after) = (silence.clone(), silence.clone());
    let port = tcp_port(&options);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(Duration::from_secs(3_600))
        .test_before_acquire(false)
        .after_connect(move |_, _| {
            Box::pin(async move {
                tune(port).await;
                Ok(())
            })
        })
        .before_acquire(move |connection, idle| {
            let silence = before.clone();
            Box::pin(async move {
                if silence.covers(idle.idle_for) {
                    return Err(Error::PoolTimedOut);
                }
                if idle.idle_for > FRESH {
                    answers(connection, &silence).await?;
                }
                Ok(true)
            })
        })
        // The pool itself asks too, but waits for ever. A unit of work that was given up leaves its connection here.
        .after_release(move |connection, _| {
            let silence = after.clone();
            Box::pin(async move { answers(connection, &silence).await.map(|()| true) })
        })
        .connect_lazy_with(options)
}

/// Whether a connection lives. An error makes the pool drop it at once.
pub async fn answers(connection: &mut PgConnection, silence: &Silence) -> Result<(), Error> {
    timeout(PING, connection.ping()).await.unwrap_or_else(|_| {
        silence.found();
        Err(Error::PoolTimedOut)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_not_heard_of_since_another_fell_silent_is_not_trusted() {
        let silence = Silence::default();
        assert!(!silence.covers(Duration::from_secs(600)));
        silence.found();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(silence.covers(Duration::from_secs(4)), "idle since before");
        assert!(!silence.covers(Duration::from_secs(2)), "used since");
    }

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        let error = parse(&Secret::new("mysql://u:hunter2@h:nonsense/db".to_owned())).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(
            !format!("{:?}", PostgresOptions::new("postgres://u:hunter2@h/d")).contains("hunter2")
        );
    }
}
