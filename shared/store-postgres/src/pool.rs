//! The connection pools. Both open connections on demand and follow the primary to another host.
//!
//! Every connection is verified when it is opened, when it returns to the pool, and before use
//! after more than a second of idleness.

use crate::{
    connection_cache::{ConnectionCache, MAX_UNVERIFIED_IDLE},
    server::{Servers, SessionKind, hook_error},
};
use futures::future::join;
use sqlx_core::error::Error;
use sqlx_postgres::{PgPool, PgPoolOptions};
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for a connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates a pool of connections to the primary that are opened on demand.
pub fn pool(servers: &Servers, kind: SessionKind, connections: u32) -> PgPool {
    let (made, before, after) = (servers.clone(), servers.clone(), servers.clone());
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(Duration::from_secs(3_600))
        // The hooks below verify more cheaply than a ping before every acquire.
        .test_before_acquire(false)
        // The pool retries a refused connection with a pause until the acquire timeout.
        .after_connect(move |connection, _| {
            let servers = made.clone();
            Box::pin(async move {
                servers
                    .set_up_session(connection, kind)
                    .await
                    .map_err(|failure| hook_error(&failure))
            })
        })
        .before_acquire(move |connection, idle| {
            let servers = before.clone();
            Box::pin(async move {
                if servers.is_stale(idle.idle_for) {
                    return Err(Error::PoolTimedOut);
                }
                if idle.idle_for > MAX_UNVERIFIED_IDLE {
                    servers.verify(connection).await.map_err(|failure| hook_error(&failure))?;
                }
                Ok(true)
            })
        })
        // A failed or cancelled unit of work leaves its connection here. The pool's own ping has no
        // timeout and succeeds on a read-only server.
        .after_release(move |connection, _| {
            let servers = after.clone();
            Box::pin(async move {
                servers.verify(connection).await.map_err(|failure| hook_error(&failure))?;
                Ok(true)
            })
        })
        .connect_lazy_with(servers.options(kind))
}

/// The pools of a store.
pub struct ConnectionPools {
    /// Reads and synchronous writes.
    pub synchronous: PgPool,
    /// Claims, leases and notifications.
    pub relaxed: PgPool,
    /// Cache over `synchronous`, for frequent statements.
    pub cache: ConnectionCache,
    /// Cache over `relaxed`, for frequent statements.
    pub relaxed_cache: ConnectionCache,
}

/// Size of the relaxed pool. Claims and notifications may cache half of it.
const RELAXED_POOL_CONNECTIONS: u32 = 4;

/// Longest wait for open connections at close. A silent connection holds its slot until it times
/// out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

impl ConnectionPools {
    /// Creates the pools; connections are opened on demand.
    pub fn new(servers: &Servers, max_connections: u32) -> Self {
        let synchronous = pool(servers, SessionKind::Synchronous, max_connections);
        let relaxed = pool(servers, SessionKind::Relaxed, RELAXED_POOL_CONNECTIONS);
        servers.track_pool(synchronous.clone(), SessionKind::Synchronous);
        servers.track_pool(relaxed.clone(), SessionKind::Relaxed);
        Self {
            cache: ConnectionCache::new(synchronous.clone(), max_connections, servers.clone()),
            relaxed_cache: ConnectionCache::new(
                relaxed.clone(),
                2 * RELAXED_POOL_CONNECTIONS,
                servers.clone(),
            ),
            synchronous,
            relaxed,
        }
    }

    /// Closes the pools after running statements have finished. Connections that take longer than 3
    /// seconds are left open.
    pub async fn close(&self) {
        // Cached connections are checked out, so close() would wait for them.
        self.cache.drain();
        self.relaxed_cache.drain();
        let closed = join(self.synchronous.close(), self.relaxed.close());
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!("database connections left open: close timed out");
        }
    }
}
