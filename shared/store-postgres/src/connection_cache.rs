//! Caches checked-out connections so that short statements skip the pool's health checks.
//!
//! The pool pings every returned connection twice, which costs more than a short statement. The
//! cache keeps up to a quarter of the pool's connections checked out and verifies them only after a
//! second of idleness. A connection that is dropped without [`release`](CachedConnection::release),
//! because a statement failed or was cancelled, returns to the pool and is checked there.

use crate::{
    error::{DbError, DbResult},
    server::Servers,
};
use sqlx_core::{error::Error, pool::PoolConnection};
use sqlx_postgres::{PgConnection, PgPool, Postgres};
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Longest idle time after which a connection is used without verification.
pub const MAX_UNVERIFIED_IDLE: Duration = Duration::from_secs(1);

/// Longest time that a connection stays out of its pool, so that the pool can recycle it.
const MAX_CHECKED_OUT: Duration = Duration::from_secs(600);

/// A pool with a cache of its connections.
#[derive(Clone)]
pub struct ConnectionCache(Arc<CacheInner>);

struct CacheInner {
    pool: PgPool,
    servers: Servers,
    max_cached: usize,
    idle: Mutex<Vec<IdleConnection>>,
}

struct IdleConnection {
    connection: PoolConnection<Postgres>,
    checked_out_at: Instant,
    /// Time at which the server was last seen to be the primary.
    verified_at: Instant,
    last_used: Instant,
}

impl ConnectionCache {
    /// Creates a cache for a pool of this size; it keeps a quarter of the connections.
    pub fn new(pool: PgPool, connections: u32, servers: Servers) -> Self {
        // A quarter, so that uncached users of the pool always find a connection.
        let (max_cached, idle) = (connections as usize / 4, Mutex::default());
        Self(Arc::new(CacheInner { pool, servers, max_cached, idle }))
    }

    /// Returns a cached connection, or acquires one from the pool.
    pub async fn acquire(&self) -> DbResult<CachedConnection> {
        let servers = &self.0.servers;
        // Last in, first out: the connection used last is the least likely to be stale.
        while let Some(mut idle) = self.pop() {
            let unused = idle.last_used.elapsed();
            if servers.is_stale(unused) {
                // Detach frees the pool slot at once; a graceful close would wait for an answer.
                drop(idle.connection.detach());
                continue;
            }
            if unused <= MAX_UNVERIFIED_IDLE && servers.is_trusted(idle.verified_at) {
                // Recently used and verified since the last suspicion: no round trip.
                return Ok(self.checkout(idle.connection, idle.checked_out_at, idle.verified_at));
            }
            // Taken before the check: a suspicion raised while it runs may concern this server too.
            let verified_at = Instant::now();
            if servers.verify(&mut *idle.connection).await.is_ok() {
                return Ok(self.checkout(idle.connection, idle.checked_out_at, verified_at));
            }
            drop(idle.connection.detach());
        }
        let checked_out_at = Instant::now();
        let connection = self.0.pool.acquire().await.map_err(|error| self.acquire_error(error))?;
        Ok(self.checkout(connection, checked_out_at, checked_out_at))
    }

    /// Explains a failed acquire: a pool timeout is replaced by the reason why the last server was
    /// refused.
    pub fn acquire_error(&self, error: Error) -> DbError {
        self.0.servers.request_search();
        match (error, self.0.servers.refusal()) {
            (Error::PoolTimedOut, Some(cause)) => DbError::Unavailable(cause),
            (error, _) => error.into(),
        }
    }

    /// Returns the cached connections to the pool, so that it can be closed. Later ones are not
    /// cached.
    pub fn drain(&self) {
        self.idle().clear();
    }

    fn checkout(
        &self,
        connection: PoolConnection<Postgres>,
        checked_out_at: Instant,
        verified_at: Instant,
    ) -> CachedConnection {
        CachedConnection { connection, checked_out_at, verified_at, cache: self.clone() }
    }

    fn pop(&self) -> Option<IdleConnection> {
        self.idle().pop()
    }

    fn put_back(
        &self,
        connection: PoolConnection<Postgres>,
        checked_out_at: Instant,
        verified_at: Instant,
    ) {
        let mut idle = self.idle();
        // Over the limit, the connection drops here and returns to its pool.
        if idle.len() < self.0.max_cached
            && checked_out_at.elapsed() < MAX_CHECKED_OUT
            && !self.0.pool.is_closed()
        {
            idle.push(IdleConnection {
                connection,
                checked_out_at,
                verified_at,
                last_used: Instant::now(),
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use.
pub struct CachedConnection {
    connection: PoolConnection<Postgres>,
    checked_out_at: Instant,
    verified_at: Instant,
    cache: ConnectionCache,
}

impl CachedConnection {
    /// Puts the connection back into the cache. Every statement must be answered and no transaction
    /// open.
    pub fn release(self) {
        self.cache.put_back(self.connection, self.checked_out_at, self.verified_at);
    }

    /// Closes the socket without a Terminate message, so that the server cancels the statement that
    /// is still running.
    pub fn abandon(self) {
        drop(self.connection.detach());
    }
}

impl Deref for CachedConnection {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for CachedConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
