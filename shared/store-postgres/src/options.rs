//! How to reach the database, and the pools of connections to it.

use crate::server::{Servers, SessionKind, refused};
use longhaul_runtime::Secret;
use sqlx_core::error::Error;
use sqlx_postgres::{PgPool, PgPoolOptions};
use std::time::Duration;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, perhaps with several hosts: a direct connection, or a pooler's whose
    /// sessions are kept.
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

/// Longest wait of a caller for a connection.
pub const ACQUIRE: Duration = Duration::from_secs(5);

/// Longest idle time after which a connection is used without being verified.
pub const FRESH: Duration = Duration::from_secs(1);

/// A pool of connections to the primary that opens them when they are needed.
pub fn pool(servers: &Servers, kind: SessionKind, connections: u32) -> PgPool {
    let (made, before, after) = (servers.clone(), servers.clone(), servers.clone());
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(Duration::from_secs(3_600))
        .test_before_acquire(false)
        // A refused connection is made again, after a pause, for as long as its caller waits.
        .after_connect(move |connection, _| {
            let servers = made.clone();
            Box::pin(async move {
                servers.set_up(connection, kind).await.map_err(|failure| refused(&failure))
            })
        })
        .before_acquire(move |connection, idle| {
            let servers = before.clone();
            Box::pin(async move {
                if servers.is_stale(idle.idle_for) {
                    return Err(Error::PoolTimedOut);
                }
                if idle.idle_for > FRESH {
                    servers.verify(connection).await.map_err(|failure| refused(&failure))?;
                }
                Ok(true)
            })
        })
        // A unit of work that failed or was given up leaves its connection here. The pool itself asks whether it lives,
        // but waits for ever, and a server that cannot be written to would say yes.
        .after_release(move |connection, _| {
            let servers = after.clone();
            Box::pin(async move {
                servers.verify(connection).await.map_err(|failure| refused(&failure))?;
                Ok(true)
            })
        })
        .connect_lazy_with(servers.options(kind))
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
