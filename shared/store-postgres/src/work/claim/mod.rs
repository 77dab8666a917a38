//! Handing out runs, so that owners take turns.
//!
//! A claim assigns no place in a log, so its commit does not wait for the disk: one that a crash of the database forgets was
//! never made, and its token, random per claim, is worth nothing afterwards. Tokens are made before the claim, new ones for
//! each try; when an answer is lost, the runs are given back by them (see [`lost`]).
//!
//! Where nothing is limited, one statement claims ([`fast`]). Where an agent is, claims of that agent come one after the other
//! over all nodes ([`limited`]), so that two of them never exceed a limit together.

pub mod choose;
pub mod fast;
pub mod limited;
pub mod read;
pub mod turns;

use crate::{
    db::Db,
    failure::{DbResult, Failure},
    replay::retried_briefly,
    work::lost::{self, InFlight},
};
use longhaul_domain::TaskKey;
use longhaul_store::{ClaimRequest, ClaimedRun, Result};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Gives runs back that cannot be read, not to be claimed for a minute. What others have locked is left out.
pub const POSTPONE: &str = "-- store::postpone
with unreadable as materialized (
    select r.owner_id, r.task_id
    from runs r
    where r.worker = $1 and r.token = any($2)
    order by (r.owner_id, r.task_id)
    for update skip locked
)
update runs r
set worker = null, token = null, epoch = r.epoch + 1, run_at = clock_timestamp() + interval '1 minute', stage = 1
from unreadable u
where r.owner_id = any(array[u.owner_id]) and r.task_id = u.task_id";

/// A run that was claimed, with its token.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Its task.
    pub key: TaskKey,
    /// The token.
    pub token: Uuid,
}

/// Runs one batch. Claims wait for no disk, so what a batch shares is its connection.
pub async fn run(db: Arc<Db>, requests: Vec<ClaimRequest>) -> Vec<Result<Vec<ClaimedRun>>> {
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in &requests {
        outcomes.push(claim(&db, request).await.map_err(Into::into));
    }
    outcomes
}

async fn claim(db: &Db, request: &ClaimRequest) -> DbResult<Vec<ClaimedRun>> {
    let free = request.slots.iter().map(|slot| u64::from(slot.free)).sum::<u64>();
    let most = usize::try_from(free.min(u64::from(request.limit))).unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(Vec::new());
    }
    retried_briefly(|| async {
        lost::give_back(db).await?;
        // A try before this one may be carried out yet, and must not share its tokens.
        let tokens = (0..most).map(|_| db.ids.token()).collect();
        let flight = db.lost.in_flight(request.worker, tokens);
        try_to_claim(db, request, flight).await
    })
    .await
}

async fn try_to_claim(
    db: &Db,
    request: &ClaimRequest,
    flight: InFlight<'_>,
) -> DbResult<Vec<ClaimedRun>> {
    let mut connection = db.hot_relaxed.acquire().await?;
    let taken = if request.slots.iter().all(|slot| slot.limits.is_none()) {
        fast::take(db, &mut connection, request, flight.tokens()).await?
    } else {
        limited::take(db, &mut connection, request, flight.tokens()).await?
    };
    if taken.is_empty() {
        flight.landed(Vec::new());
        connection.done();
        return Ok(Vec::new());
    }
    let (runs, unreadable) = read::claimed(&mut connection, &taken).await?;
    let unreadable = postpone(&mut connection, request, unreadable).await?;
    flight.landed(unreadable);
    connection.done();
    Ok(runs)
}

/// Puts runs off that cannot be read, so that they hold nobody up. Gives their tokens, as somebody may have locked one.
async fn postpone(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    unreadable: Vec<(Uuid, Failure)>,
) -> DbResult<Vec<Uuid>> {
    if unreadable.is_empty() {
        return Ok(Vec::new());
    }
    for (_, failure) in &unreadable {
        tracing::error!(?failure, "a run cannot be read and is put off");
    }
    let tokens: Vec<Uuid> = unreadable.into_iter().map(|(token, _)| token).collect();
    query(POSTPONE).bind(request.worker.uuid()).bind(&tokens).execute(connection).await?;
    Ok(tokens)
}
