//! Getting started: the database may still be coming up, and is waited for.

use crate::{
    failure::{DbResult, Failure},
    kept::Kept,
    options::pool,
    server::{Servers, SessionKind},
};
use futures::future::join;
use longhaul_runtime::{Backoff, Secret, redact_url};
use sqlx_postgres::PgPool;
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Repeats a step until it succeeds, fails for a reason that waiting does not cure, or `limit` has passed.
pub async fn waiting<T, Fut>(
    url: &Secret<String>,
    limit: Duration,
    mut step: impl FnMut() -> Fut,
) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>>,
{
    let started = Instant::now();
    let mut attempt = 0;
    let mut before = None;
    loop {
        let rest = limit.saturating_sub(started.elapsed()).max(Duration::from_millis(100));
        let why = match timeout(rest, step()).await {
            Ok(Err(Failure::Lost(why) | Failure::Unavailable(why) | Failure::Conflict(why))) => why,
            Ok(outcome) => return outcome,
            // What the try before was told says more than that this one was cut short.
            Err(_) => before.take().unwrap_or_else(|| "no answer".to_owned()),
        };
        let place = redact_url(url.expose());
        let delay = Backoff::DATABASE.random_delay(attempt);
        if started.elapsed() + delay >= limit {
            return Err(Failure::Unavailable(format!("no Postgres at {place}: {why}")));
        }
        tracing::info!(database = place, why, "waiting for Postgres");
        before = Some(why);
        sleep(delay).await;
        attempt += 1;
    }
}

/// The pools of a store.
pub struct Pools {
    /// Reads and synchronous writes.
    pub synchronous: PgPool,
    /// Claims, leases and notifications.
    pub relaxed: PgPool,
    /// The same, for what runs all the time.
    pub hot: Kept,
    /// The same, relaxed.
    pub hot_relaxed: Kept,
}

/// Connections of the relaxed pool: half of them may be kept, by claims and by notifications.
const RELAXED: u32 = 4;

/// How long closing waits for what was begun. A connection that has gone silent keeps its place until it is given up.
const CLOSING: Duration = Duration::from_secs(3);

impl Pools {
    /// Pools that open connections when they are needed.
    pub fn new(servers: &Servers, max_connections: u32) -> Self {
        let synchronous = pool(servers, SessionKind::Synchronous, max_connections);
        let relaxed = pool(servers, SessionKind::Relaxed, RELAXED);
        servers.follow(synchronous.clone(), SessionKind::Synchronous);
        servers.follow(relaxed.clone(), SessionKind::Relaxed);
        Self {
            hot: Kept::of(synchronous.clone(), max_connections, servers.clone()),
            hot_relaxed: Kept::of(relaxed.clone(), 2 * RELAXED, servers.clone()),
            synchronous,
            relaxed,
        }
    }

    /// Closes all of them, once what was begun is done; what takes longer than 3 seconds is left to itself.
    pub async fn close(&self) {
        self.hot.give_back();
        self.hot_relaxed.give_back();
        let closed = join(self.synchronous.close(), self.relaxed.close());
        if timeout(CLOSING, closed).await.is_err() {
            tracing::warn!("connections to the database do not answer and are left behind");
        }
    }
}
