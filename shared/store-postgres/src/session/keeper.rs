//! Keeps one connection and the locks on it.

use super::{Workers, key_of};
use crate::{
    failure::{DbResult, Failure},
    options::pool,
    server::{Servers, SessionKind},
};
use longhaul_domain::{Timestamp, WorkerId};
use longhaul_runtime::Backoff;
use sqlx_core::{query::query, query_as::query_as, query_scalar::query_scalar};
use sqlx_postgres::{PgListener, PgPool};
use std::{future::Future, time::Duration};
use tokio::{
    sync::watch,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Takes the lock of a worker, unless another session holds it: then that is an earlier one of the same worker, whose end the
/// server has not noticed.
pub const HOLD: &str = "-- store::hold_session
select pg_try_advisory_lock($1)";

/// Lets go of it.
pub const LET_GO: &str = "-- store::let_go_of_session
select pg_advisory_unlock($1)";

/// Lets go of all.
pub const LET_GO_ALL: &str = "-- store::let_go_of_sessions
select pg_advisory_unlock_all()";

/// Who this session is, by the server's books: a process id may be used again, with another start.
pub const BACKEND: &str = "-- store::session_backend
select a.pid, a.backend_start from pg_stat_activity a where a.pid = pg_backend_pid()";

/// Ends an earlier session of ours whose end the server has not noticed.
pub const END_BACKEND: &str = "-- store::end_session_backend
select pg_terminate_backend(a.pid) from pg_stat_activity a where a.pid = $1 and a.backend_start = $2";

/// Says that workers live whose session is broken.
pub const SEEN: &str = "-- store::seen
update workers set seen_at = clock_timestamp() where worker_id = any($1) and lost_at is null";

/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(3);

/// How long a living connection may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Longest silence after which the connection is verified. Together with the time for the answer that is less than the
/// server needs to find out that the other end is gone, so the workers say in time that they live.
const QUIET: Duration = Duration::from_secs(3);

/// How often workers without a session say that they live, well within the second after which they would be missed.
const SAYING: Duration = Duration::from_millis(300);

/// How soon a lock is asked for again that another session holds.
const RETRY: Duration = Duration::from_millis(100);

/// How long it may take to let go at the end.
const LAST: Duration = Duration::from_secs(1);

/// All workers together would be missed within a second.
const AGAIN: Backoff = Backoff {
    initial: Duration::from_millis(50),
    factor: 2.0,
    max: Duration::from_millis(500),
    jitter: true,
};

/// Keeps the locks of the wanted workers until told to stop, and says which are held.
pub async fn keep(
    servers: Servers,
    through: PgPool,
    wanted: watch::Receiver<Workers>,
    held: watch::Sender<Workers>,
    stop: CancellationToken,
) {
    let mut keeper = Keeper { servers, through, wanted, held, before: None };
    while !stop.is_cancelled() {
        let Some(Ok(())) = stop.run_until_cancelled(keeper.needed()).await else { return };
        // Boxed, because connecting is large.
        let connected = Box::pin(stop.run_until_cancelled(keeper.connected())).await;
        let Some(mut session) = connected else { return };
        match Box::pin(stop.run_until_cancelled(keeper.hold(&mut session))).await {
            Some(Ok(())) | None => {
                keeper.before = None;
                let_go(session).await;
            }
            Some(Err(failure)) => {
                keeper.held.send_replace(Workers::new());
                keeper.servers.search();
                tracing::warn!(?failure, "the session of the workers was lost");
            }
        }
    }
}

/// Where the locks are.
struct Session {
    connection: PgListener,
    pool: PgPool,
    backend: Backend,
}

/// Process id and start of the server's end of a session.
type Backend = (i32, Timestamp);

struct Keeper {
    servers: Servers,
    through: PgPool,
    wanted: watch::Receiver<Workers>,
    held: watch::Sender<Workers>,
    /// The session before this one, which may be half open: dead here, and alive to the server.
    before: Option<Backend>,
}

impl Keeper {
    /// Waits until there is a worker. An error: there will be none any more.
    async fn needed(&mut self) -> Result<(), watch::error::RecvError> {
        self.wanted.wait_for(|wanted| !wanted.is_empty()).await.map(|_| ())
    }

    /// A new connection, however long it takes.
    async fn connected(&self) -> Session {
        let connecting = async {
            let mut attempt = 0;
            loop {
                match connect(&self.servers).await {
                    Ok(session) => return session,
                    Err(failure) => tracing::debug!(?failure, attempt, "no session for workers"),
                }
                sleep(AGAIN.random_delay(attempt)).await;
                attempt = attempt.saturating_add(1);
            }
        };
        self.saying_that_they_live(connecting).await
    }

    /// Does something, and tells others through the pool meanwhile that the workers live.
    async fn saying_that_they_live<T>(&self, doing: impl Future<Output = T>) -> T {
        let saying = async {
            let mut again = interval(SAYING);
            loop {
                again.tick().await;
                let workers: Vec<_> = self.wanted.borrow().iter().map(|w| w.uuid()).collect();
                let said = query(SEEN).bind(workers).execute(&self.through);
                if let Ok(Err(error)) = timeout(ANSWER, said).await {
                    tracing::debug!(%error, "workers without a session could not say that they live");
                }
            }
        };
        tokio::select! {
            done = doing => done,
            never = saying => never,
        }
    }

    /// Takes and gives back locks as they are wanted. Ends when none is, or with the reason why the connection is of no use.
    async fn hold(&mut self, session: &mut Session) -> DbResult<()> {
        if let Some(before) = self.before.replace(session.backend) {
            end(session, before).await?;
        }
        let mut have = Workers::new();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            for worker in have.difference(&wanted) {
                answered(query(LET_GO).bind(key_of(*worker)).execute(&mut session.connection))
                    .await?;
            }
            have.retain(|worker| wanted.contains(worker));
            for worker in wanted.difference(&have.clone()) {
                if take(session, *worker).await? {
                    have.insert(*worker);
                }
            }
            // A lock that an earlier session of the same worker holds is held all the same.
            self.held.send_replace(wanted.clone());
            if wanted.is_empty() {
                return Ok(());
            }
            let missing = have != wanted;
            let changed = Box::pin(self.changed(session, missing)).await?;
            if !changed {
                return Ok(());
            }
        }
    }

    /// Waits until other locks are wanted, or a missing one is to be tried again; `false`: none will be wanted any more.
    async fn changed(&self, session: &mut Session, missing: bool) -> DbResult<bool> {
        let mut wanted = self.wanted.clone();
        let waiting = async {
            tokio::select! {
                changed = wanted.changed() => Ok(changed.is_ok()),
                failure = broken(&self.servers, &mut session.connection) => Err(failure),
                () = sleep(RETRY), if missing => Ok(true),
            }
        };
        if missing { self.saying_that_they_live(waiting).await } else { waiting.await }
    }
}

/// Ends the session before this one, so that its locks are free. It has mostly ended by itself, and then nothing happens.
async fn end(session: &mut Session, (pid, start): Backend) -> DbResult<()> {
    let ended = query(END_BACKEND).bind(pid).bind(start).execute(&mut session.connection);
    answered(ended).await?;
    Ok(())
}

/// Takes the lock of a worker; `false`: another session holds it.
async fn take(session: &mut Session, worker: WorkerId) -> DbResult<bool> {
    let taken = query_scalar::<_, bool>(HOLD).bind(key_of(worker));
    answered(taken.fetch_one(&mut session.connection)).await
}

/// Waits until the connection is of no use any more; gives the reason.
async fn broken(servers: &Servers, connection: &mut PgListener) -> Failure {
    let mut suspicions = servers.suspicions();
    loop {
        tokio::select! {
            received = connection.try_recv() => match received {
                // Nobody notifies a session that listens to nothing.
                Ok(Some(_)) => continue,
                Ok(None) => return Failure::Lost("closed by the server".to_owned()),
                Err(error) => return error.into(),
            },
            () = sleep(QUIET) => {}
            Ok(()) = suspicions.changed() => {}
        }
        if let Err(failure) = servers.verify(&mut *connection).await {
            return failure;
        }
    }
}

async fn connect(servers: &Servers) -> DbResult<Session> {
    let mut moves = servers.moves();
    // A pool of its own, so that a connection that has gone silent is waited for by nobody.
    let pool = pool(servers, SessionKind::Watched, 1);
    let mut connection = tokio::select! {
        connected = timeout(CONNECTING, PgListener::connect_with(&pool)) => {
            connected.map_err(|_| Failure::Lost("no connection in time".to_owned()))??
        }
        _ = moves.changed() => return Err(Failure::Lost("the primary is elsewhere".to_owned())),
    };
    connection.eager_reconnect(false);
    let backend = answered(query_as(BACKEND).fetch_one(&mut connection)).await?;
    Ok(Session { connection, pool, backend })
}

/// Ends a session so that the server knows at once.
async fn let_go(mut session: Session) {
    let gone = async {
        let _ = query(LET_GO_ALL).execute(&mut session.connection).await;
        drop(session.connection);
        session.pool.close().await;
    };
    if timeout(LAST, gone).await.is_err() {
        tracing::debug!("the session of the workers does not answer and is left behind");
    }
}

async fn answered<T>(
    asked: impl Future<Output = Result<T, sqlx_core::error::Error>>,
) -> DbResult<T> {
    let answer = timeout(ANSWER, asked).await;
    Ok(answer.map_err(|_| Failure::Lost("no answer".to_owned()))??)
}
