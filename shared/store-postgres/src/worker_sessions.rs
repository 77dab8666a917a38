//! Session locks by which the death of a worker is noticed.
//!
//! A process with workers keeps one connection outside of the pools and holds an advisory lock on
//! it for each worker. The server releases the locks when the process dies, and reapers see that.
//! When only the connection breaks, it is reopened and the locks are retaken; until then the
//! workers report through the pool that they are alive. A store without workers opens no such
//! connection.

use crate::{
    error::{DbError, DbResult},
    pool::pool,
    server::{Servers, SessionKind},
};
use longhaul_domain::{Timestamp, WorkerId};
use longhaul_runtime::{Backoff, TaskSet};
use sqlx_core::{query::query, query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::{PgListener, PgPool};
use std::{collections::BTreeSet, future::Future, sync::OnceLock, time::Duration};
use tokio::{
    sync::watch,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Takes a worker's lock. Fails while another session holds it: an earlier one of the same worker
/// whose end the server has not noticed.
pub const LOCK_WORKER_SESSION: &str = "-- store::lock_worker_session
select pg_try_advisory_lock($1)";

/// Releases a worker's lock.
pub const UNLOCK_WORKER_SESSION: &str = "-- store::unlock_worker_session
select pg_advisory_unlock($1)";

/// Releases all locks.
pub const UNLOCK_WORKER_SESSIONS: &str = "-- store::unlock_worker_sessions
select pg_advisory_unlock_all()";

/// Identifies this session on the server. The start time tells reused process ids apart.
pub const READ_SESSION_BACKEND: &str = "-- store::read_session_backend
select a.pid, a.backend_start from pg_stat_activity a where a.pid = pg_backend_pid()";

/// Terminates an earlier session of this process whose end the server has not noticed.
pub const END_SESSION_BACKEND: &str = "-- store::end_session_backend
select pg_terminate_backend(a.pid) from pg_stat_activity a where a.pid = $1 and a.backend_start = $2";

/// Records that workers with a broken session are alive.
pub const REPORT_WORKERS_ALIVE: &str = "-- store::report_workers_alive
update workers set seen_at = clock_timestamp() where worker_id = any($1) and lost_at is null";

/// Longest time for a connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for the answer of a live connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest silence before the connection is verified.
///
/// With the time for the answer this is less than the server needs to notice that the peer is gone,
/// so the workers report in time that they are alive.
const VERIFY_AFTER_SILENCE: Duration = Duration::from_secs(3);

/// Interval between liveness reports, well within the second after which a worker would count as
/// missing.
const ALIVE_REPORT_INTERVAL: Duration = Duration::from_millis(300);

/// Pause before a lock that another session holds is tried again.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for the locks to be released at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause between connection attempts; short, because a worker without a session is missed after a
/// second.
const RECONNECT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(50),
    factor: 2.0,
    max: Duration::from_millis(500),
    jitter: true,
};

/// Longest wait for the first session of a worker.
const FIRST_SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait of a leaving worker for the release of its lock.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Workers whose locks are wanted, or held.
type WorkerIds = BTreeSet<WorkerId>;

/// Key of a worker's advisory lock. Worker ids are version 7 UUIDs with more random bits than a key
/// has.
pub fn lock_key(worker: WorkerId) -> i64 {
    let id = worker.uuid().as_u128();
    let [high, low] = [id >> 64, id & u128::from(u64::MAX)];
    i64::from_ne_bytes(u64::try_from(high ^ low).unwrap_or_default().to_ne_bytes())
}

/// Session locks of this process's workers.
pub struct WorkerSessions {
    servers: Servers,
    wanted: watch::Sender<WorkerIds>,
    held: watch::Sender<WorkerIds>,
    started: OnceLock<()>,
}

impl WorkerSessions {
    /// Creates the set without workers and without a connection.
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            wanted: watch::Sender::default(),
            held: watch::Sender::default(),
            started: OnceLock::new(),
        }
    }

    /// Holds a worker's lock from now on. Fails if that takes longer than 10 seconds.
    pub async fn hold(
        &self,
        worker: WorkerId,
        background: &TaskSet,
        pool: &PgPool,
    ) -> DbResult<()> {
        self.started.get_or_init(|| {
            let (wanted, held) = (self.wanted.subscribe(), self.held.clone());
            let stop = background.stopping().clone();
            let keeper = run_keeper(self.servers.clone(), pool.clone(), wanted, held, stop);
            background.spawn("postgres worker sessions", keeper);
        });
        self.wanted.send_modify(|wanted| {
            wanted.insert(worker);
        });
        let mut held = self.held.subscribe();
        if let Ok(Ok(_)) =
            timeout(FIRST_SESSION_TIMEOUT, held.wait_for(|held| held.contains(&worker))).await
        {
            return Ok(());
        }
        // Without a session the worker must not run; do not lock it later.
        self.forget(worker);
        Err(DbError::Unavailable(
            "the worker's database session could not be established in time".to_owned(),
        ))
    }

    /// Releases a worker's lock.
    pub async fn release(&self, worker: WorkerId) {
        if self.forget(worker) {
            let mut held = self.held.subscribe();
            let _ = timeout(RELEASE_TIMEOUT, held.wait_for(|held| !held.contains(&worker))).await;
        }
    }

    fn forget(&self, worker: WorkerId) -> bool {
        self.wanted.send_if_modified(|wanted| wanted.remove(&worker))
    }
}

/// Keeps the locks of the wanted workers until stopped, and publishes the set that is held.
async fn run_keeper(
    servers: Servers,
    pool: PgPool,
    wanted: watch::Receiver<WorkerIds>,
    held: watch::Sender<WorkerIds>,
    stop: CancellationToken,
) {
    let mut keeper = SessionKeeper { servers, pool, wanted, held, previous: None };
    while !stop.is_cancelled() {
        let Some(Ok(())) = stop.run_until_cancelled(keeper.wait_until_wanted()).await else {
            return;
        };
        // Boxed: the connect future is large.
        let connected = Box::pin(stop.run_until_cancelled(keeper.connect_with_retry())).await;
        let Some(mut session) = connected else { return };
        match Box::pin(stop.run_until_cancelled(keeper.hold(&mut session))).await {
            Some(Ok(())) | None => {
                keeper.previous = None;
                close_session(session).await;
            }
            Some(Err(failure)) => {
                // Locks of a broken connection no longer count as held.
                keeper.held.send_replace(WorkerIds::new());
                keeper.servers.request_search();
                tracing::warn!(?failure, "worker session lost");
            }
        }
    }
}

/// The connection that holds the locks.
struct WorkerSession {
    connection: PgListener,
    pool: PgPool,
    backend: BackendId,
}

/// Process id and start time of the server's end of a session.
type BackendId = (i32, Timestamp);

struct SessionKeeper {
    servers: Servers,
    pool: PgPool,
    wanted: watch::Receiver<WorkerIds>,
    held: watch::Sender<WorkerIds>,
    /// The previous session. It may be half open: dead here, but alive to the server.
    previous: Option<BackendId>,
}

impl SessionKeeper {
    /// Waits until a worker is wanted. An error means that no more will come.
    async fn wait_until_wanted(&mut self) -> Result<(), watch::error::RecvError> {
        self.wanted.wait_for(|wanted| !wanted.is_empty()).await.map(|_| ())
    }

    /// Opens a new connection, however long it takes.
    async fn connect_with_retry(&self) -> WorkerSession {
        let connecting = async {
            let mut attempt = 0;
            loop {
                match connect(&self.servers).await {
                    Ok(session) => return session,
                    Err(failure) => {
                        tracing::debug!(?failure, attempt, "worker session connect failed");
                    }
                }
                sleep(RECONNECT_BACKOFF.random_delay(attempt)).await;
                attempt = attempt.saturating_add(1);
            }
        };
        self.while_reporting_alive(connecting).await
    }

    /// Runs a future and meanwhile reports through the pool that the workers are alive.
    async fn while_reporting_alive<T>(&self, work: impl Future<Output = T>) -> T {
        let reporting = async {
            let mut ticks = interval(ALIVE_REPORT_INTERVAL);
            loop {
                ticks.tick().await;
                let workers: Vec<_> = self.wanted.borrow().iter().map(|w| w.uuid()).collect();
                let report = query(REPORT_WORKERS_ALIVE).bind(workers).execute(&self.pool);
                if let Ok(Err(error)) = timeout(ANSWER_TIMEOUT, report).await {
                    tracing::debug!(%error, "liveness report failed");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = reporting => never,
        }
    }

    /// Locks and unlocks workers as they are wanted. Returns when none is, or with the cause when
    /// the connection breaks.
    async fn hold(&mut self, session: &mut WorkerSession) -> DbResult<()> {
        // A half-open predecessor may still hold the locks.
        if let Some(previous) = self.previous.replace(session.backend) {
            end_previous_session(session, previous).await?;
        }
        let mut locked = WorkerIds::new();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            for worker in locked.difference(&wanted) {
                with_timeout(
                    query(UNLOCK_WORKER_SESSION)
                        .bind(lock_key(*worker))
                        .execute(&mut session.connection),
                )
                .await?;
            }
            locked.retain(|worker| wanted.contains(worker));
            for worker in wanted.difference(&locked.clone()) {
                if try_lock(session, *worker).await? {
                    locked.insert(*worker);
                }
            }
            // A lock held by the worker's earlier session protects it as well.
            self.held.send_replace(wanted.clone());
            if wanted.is_empty() {
                return Ok(());
            }
            let missing = locked != wanted;
            let changed = Box::pin(self.wait_for_change(session, missing)).await?;
            if !changed {
                return Ok(());
            }
        }
    }

    /// Waits until other locks are wanted or a missing one is to be retried; `false` means that no
    /// more will be wanted.
    async fn wait_for_change(&self, session: &mut WorkerSession, missing: bool) -> DbResult<bool> {
        let mut wanted = self.wanted.clone();
        let waiting = async {
            tokio::select! {
                changed = wanted.changed() => Ok(changed.is_ok()),
                failure = wait_until_broken(&self.servers, &mut session.connection) => Err(failure),
                () = sleep(LOCK_RETRY_INTERVAL), if missing => Ok(true),
            }
        };
        if missing { self.while_reporting_alive(waiting).await } else { waiting.await }
    }
}

/// Terminates the previous session so that its locks are free. Usually it has ended already.
async fn end_previous_session(
    session: &mut WorkerSession,
    (pid, start): BackendId,
) -> DbResult<()> {
    let ended = query(END_SESSION_BACKEND).bind(pid).bind(start).execute(&mut session.connection);
    with_timeout(ended).await?;
    Ok(())
}

/// Takes a worker's lock; `false` if another session holds it.
async fn try_lock(session: &mut WorkerSession, worker: WorkerId) -> DbResult<bool> {
    let taken = query_scalar::<_, bool>(LOCK_WORKER_SESSION).bind(lock_key(worker));
    with_timeout(taken.fetch_one(&mut session.connection)).await
}

/// Waits until the connection is unusable; returns the cause.
async fn wait_until_broken(servers: &Servers, connection: &mut PgListener) -> DbError {
    let mut suspicions = servers.suspicions();
    loop {
        tokio::select! {
            received = connection.try_recv() => match received {
                // This session listens to no channel, so this cannot happen.
                Ok(Some(_)) => continue,
                Ok(None) => return DbError::ConnectionLost("closed by the server".to_owned()),
                Err(error) => return error.into(),
            },
            () = sleep(VERIFY_AFTER_SILENCE) => {}
            Ok(()) = suspicions.changed() => {}
        }
        if let Err(failure) = servers.verify(&mut *connection).await {
            return failure;
        }
    }
}

async fn connect(servers: &Servers) -> DbResult<WorkerSession> {
    let mut host_changes = servers.host_changes();
    // A dedicated pool: nothing else waits for a connection that has gone silent.
    let pool = pool(servers, SessionKind::Watched, 1);
    let mut connection = tokio::select! {
        connected = timeout(CONNECT_TIMEOUT, PgListener::connect_with(&pool)) => {
            connected.map_err(|_| DbError::ConnectionLost("no connection in time".to_owned()))??
        }
        _ = host_changes.changed() => return Err(DbError::ConnectionLost("the primary has moved".to_owned())),
    };
    connection.eager_reconnect(false);
    let backend = with_timeout(query_as(READ_SESSION_BACKEND).fetch_one(&mut connection)).await?;
    Ok(WorkerSession { connection, pool, backend })
}

/// Closes a session so that the server releases its locks at once.
async fn close_session(mut session: WorkerSession) {
    let closing = async {
        let _ = query(UNLOCK_WORKER_SESSIONS).execute(&mut session.connection).await;
        drop(session.connection);
        session.pool.close().await;
    };
    if timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        tracing::debug!("worker session left open: close timed out");
    }
}

async fn with_timeout<T>(
    statement: impl Future<Output = Result<T, sqlx_core::error::Error>>,
) -> DbResult<T> {
    let answer = timeout(ANSWER_TIMEOUT, statement).await;
    Ok(answer.map_err(|_| DbError::ConnectionLost("no answer".to_owned()))??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::{IdSource, SystemIds};

    #[test]
    fn workers_have_distinct_lock_keys() {
        let keys: BTreeSet<i64> =
            (0..1_000).map(|_| lock_key(WorkerId::new(SystemIds.uuid_v7()))).collect();
        assert_eq!(keys.len(), 1_000);
    }
}
