//! Connections that are used again and again without going back to their pool in between.
//!
//! A pool asks each connection that comes back whether it lives, twice, which costs more than a short statement. Whoever is
//! done with a connection in good order keeps it for the next one instead, where it is asked only after it was idle for longer
//! than a second. One that was not [done](Hot::done) with, because a statement failed or was given up, goes back to the pool,
//! which asks. Few are kept, so that there are always some for others, and none for longer than some minutes.

use crate::{
    failure::{DbResult, Failure},
    options::FRESH,
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

/// After this long a connection goes back to its pool, which opens new ones from time to time.
const LONGEST: Duration = Duration::from_secs(600);

/// A pool, and the connections that are kept of it.
#[derive(Clone)]
pub struct Kept(Arc<Inner>);

struct Inner {
    pool: PgPool,
    servers: Servers,
    most: usize,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: PoolConnection<Postgres>,
    taken: Instant,
    /// When its server was last seen to be the primary.
    verified: Instant,
    used: Instant,
}

impl Kept {
    /// Of this pool of so many connections, a quarter of them.
    pub fn of(pool: PgPool, connections: u32, servers: Servers) -> Self {
        let (most, idle) = (connections as usize / 4, Mutex::default());
        Self(Arc::new(Inner { pool, servers, most, idle }))
    }

    /// A connection: one that was kept, or one of the pool.
    pub async fn acquire(&self) -> DbResult<Hot> {
        let servers = &self.0.servers;
        while let Some(mut idle) = self.pop() {
            let unused = idle.used.elapsed();
            if servers.is_stale(unused) {
                // Its place in the pool is free at once; a farewell would wait for an answer.
                drop(idle.connection.detach());
                continue;
            }
            if unused <= FRESH && servers.is_trusted(idle.verified) {
                return Ok(self.hot(idle.connection, idle.taken, idle.verified));
            }
            // Before the question, as what is found out meanwhile may concern this server too.
            let verified = Instant::now();
            if servers.verify(&mut *idle.connection).await.is_ok() {
                return Ok(self.hot(idle.connection, idle.taken, verified));
            }
            drop(idle.connection.detach());
        }
        let taken = Instant::now();
        let connection = self.0.pool.acquire().await.map_err(|error| self.explain(error))?;
        Ok(self.hot(connection, taken, taken))
    }

    /// Says why no connection came about, where the pool knows only that none did in time.
    pub fn explain(&self, error: Error) -> Failure {
        self.0.servers.search();
        match (error, self.0.servers.refusal()) {
            (Error::PoolTimedOut, Some(cause)) => Failure::Unavailable(cause),
            (error, _) => error.into(),
        }
    }

    /// Gives back what is kept, so that the pool can be closed. Later ones go to the pool by themselves.
    pub fn give_back(&self) {
        self.idle().clear();
    }

    fn hot(&self, connection: PoolConnection<Postgres>, taken: Instant, verified: Instant) -> Hot {
        Hot { connection, taken, verified, kept: self.clone() }
    }

    fn pop(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn keep(&self, connection: PoolConnection<Postgres>, taken: Instant, verified: Instant) {
        let mut idle = self.idle();
        if idle.len() < self.0.most && taken.elapsed() < LONGEST && !self.0.pool.is_closed() {
            idle.push(Idle { connection, taken, verified, used: Instant::now() });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use.
pub struct Hot {
    connection: PoolConnection<Postgres>,
    taken: Instant,
    verified: Instant,
    kept: Kept,
}

impl Hot {
    /// Every statement on it was answered, and no transaction is open.
    pub fn done(self) {
        self.kept.keep(self.connection, self.taken, self.verified);
    }

    /// Closes it without a farewell: its statement takes too long, and the server ends what nobody waits for.
    pub fn abandon(self) {
        drop(self.connection.detach());
    }
}

impl Deref for Hot {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Hot {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
