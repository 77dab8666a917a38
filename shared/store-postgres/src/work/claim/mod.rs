//! Claims runs, so that owners take turns.
//!
//! A claim assigns no log sequence, so its commit does not wait for the disk. A claim that a
//! database crash forgets was never made, and its random token is worthless afterwards. Each
//! attempt uses new tokens; if its answer is lost, they identify the runs to unclaim (see
//! [`lost_claims`](super::lost_claims)).
//!
//! Without limits one statement claims ([`unlimited`]). Claims of a limited agent are serialised
//! over all nodes ([`limited`]), so two claims together never exceed a limit.

pub mod choose;
pub mod limited;
pub mod read;
pub mod turns;
pub mod unlimited;

use crate::{
    db::Db,
    error::{DbError, DbResult},
    retry::retry_briefly,
    work::lost_claims::PendingClaim,
};
use longhaul_store::{ClaimRequest, ClaimedRun, Result};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Releases unreadable runs, to be claimed no earlier than in a minute. Locked rows are skipped.
pub const POSTPONE_UNREADABLE: &str = "-- store::postpone_unreadable
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

/// Runs one batch. Claims do not wait for the disk, so a batch merely shares a task.
pub async fn claim_batch(db: Arc<Db>, requests: Vec<ClaimRequest>) -> Vec<Result<Vec<ClaimedRun>>> {
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
    retry_briefly(|| async {
        // Runs of lost claims become claimable again, perhaps by this very claim.
        db.lost_claims.unclaim(&db.relaxed).await?;
        // An earlier attempt may still execute, so each attempt needs its own tokens.
        let tokens = (0..most).map(|_| db.ids.token()).collect();
        let pending = db.lost_claims.pending(request.worker, tokens);
        try_to_claim(db, request, pending).await
    })
    .await
}

async fn try_to_claim(
    db: &Db,
    request: &ClaimRequest,
    pending: PendingClaim<'_>,
) -> DbResult<Vec<ClaimedRun>> {
    let mut connection = db.relaxed_cache.acquire().await?;
    let claimed = if request.slots.iter().all(|slot| slot.limits.is_none()) {
        unlimited::claim(db, &mut connection, request, pending.tokens()).await?
    } else {
        limited::claim(db, &mut connection, request, pending.tokens()).await?
    };
    if claimed.is_empty() {
        pending.confirm(Vec::new());
        connection.release();
        return Ok(Vec::new());
    }
    let (runs, unreadable) = read::read_claimed(&mut connection, &claimed).await?;
    let unreadable = postpone(&mut connection, request, unreadable).await?;
    // The answer arrived: only the tokens of unreadable runs stay lost.
    pending.confirm(unreadable);
    connection.release();
    Ok(runs)
}

/// Postpones unreadable runs so that they delay no others. Returns their tokens, as one may have
/// been locked.
async fn postpone(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    unreadable: Vec<(Uuid, DbError)>,
) -> DbResult<Vec<Uuid>> {
    if unreadable.is_empty() {
        return Ok(Vec::new());
    }
    for (_, failure) in &unreadable {
        tracing::error!(?failure, "unreadable run postponed");
    }
    let tokens: Vec<Uuid> = unreadable.into_iter().map(|(token, _)| token).collect();
    query(POSTPONE_UNREADABLE)
        .bind(request.worker.uuid())
        .bind(&tokens)
        .execute(connection)
        .await?;
    Ok(tokens)
}
