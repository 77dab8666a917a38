//! Claims whose answer was lost.
//!
//! Such a claim may have been committed, or still be: bytes in a socket buffer or a statement
//! queued in the server outlive the connection. Its run would belong to a live worker that does not
//! know of it. The tokens of lost claims are therefore kept for a while, and any run that bears one
//! is unclaimed, repeatedly. If the process dies, its lease expires and its runs are reaped.

use crate::error::{DbError, DbResult};
use longhaul_domain::WorkerId;
use sqlx_core::query::query;
use sqlx_postgres::PgPool;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Unclaims runs with these tokens. Locked rows are skipped until the next call.
pub const UNCLAIM_LOST: &str = "-- store::unclaim_lost
with lost as materialized (
    select r.owner_id, r.task_id
    from runs r
    where r.worker is not null and r.worker = any($1) and r.token = any($2)
    order by (r.owner_id, r.task_id)
    for update skip locked
)
update runs r
set worker = null, token = null, epoch = r.epoch + 1
from lost
where r.owner_id = any(array[lost.owner_id]) and r.task_id = lost.task_id";

/// Time after which a sent claim can no longer execute: the server cancels a statement after 8
/// seconds, and a host drops the bytes of a closed connection after less than 2 minutes.
const LOST_CLAIM_RETENTION: Duration = Duration::from_secs(180);

/// Most tokens kept; the oldest are dropped first.
const MAX_LOST_TOKENS: usize = 10_000;

/// Longest time for one unclaim.
const UNCLAIM_TIMEOUT: Duration = Duration::from_secs(5);

struct LostClaim {
    worker: Uuid,
    token: Uuid,
    since: Instant,
}

/// Tokens of claims whose answer was lost.
#[derive(Default)]
pub struct LostClaims(Mutex<VecDeque<LostClaim>>);

impl LostClaims {
    /// Registers the tokens of a claim about to be sent. It counts as lost unless it is
    /// [confirmed](PendingClaim::confirm).
    pub const fn pending(&self, worker: WorkerId, tokens: Vec<Uuid>) -> PendingClaim<'_> {
        PendingClaim { lost: self, worker: worker.uuid(), tokens }
    }

    /// Unclaims the runs that lost claims may have taken. Free if no claim was lost recently.
    pub async fn unclaim(&self, pool: &PgPool) -> DbResult<()> {
        let (workers, tokens) = self.to_unclaim();
        if tokens.is_empty() {
            return Ok(());
        }
        let unclaimed = query(UNCLAIM_LOST).bind(workers).bind(tokens).execute(pool);
        let unclaimed = timeout(UNCLAIM_TIMEOUT, unclaimed).await;
        unclaimed
            .map_err(|_| DbError::ConnectionLost("the database does not answer".to_owned()))??;
        Ok(())
    }

    fn record(&self, worker: Uuid, tokens: &[Uuid]) {
        let since = Instant::now();
        let mut lost = self.lock();
        lost.extend(tokens.iter().map(|token| LostClaim { worker, token: *token, since }));
        // Forget the oldest first: they are the least likely to execute still.
        let over = lost.len().saturating_sub(MAX_LOST_TOKENS);
        lost.drain(..over);
    }

    /// Workers and tokens of lost claims.
    fn to_unclaim(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let mut lost = self.lock();
        lost.retain(|lost| lost.since.elapsed() < LOST_CLAIM_RETENTION);
        let workers: BTreeSet<Uuid> = lost.iter().map(|lost| lost.worker).collect();
        (workers.into_iter().collect(), lost.iter().map(|lost| lost.token).collect())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<LostClaim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim in flight. It counts as lost if it is dropped unconfirmed, for example when the attempt
/// is cancelled.
pub struct PendingClaim<'a> {
    lost: &'a LostClaims,
    worker: Uuid,
    tokens: Vec<Uuid>,
}

impl PendingClaim<'_> {
    /// Tokens of the claim.
    pub fn tokens(&self) -> &[Uuid] {
        &self.tokens
    }

    /// Records that the answer arrived. The given tokens stay lost, because their runs are handed
    /// to no worker.
    pub fn confirm(mut self, lost_tokens: Vec<Uuid>) {
        self.tokens = lost_tokens;
    }
}

impl Drop for PendingClaim<'_> {
    fn drop(&mut self) {
        // Dropped without an answer: the claim may have been committed.
        if !self.tokens.is_empty() {
            self.lost.record(self.worker, &self.tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerId {
        WorkerId::new(Uuid::from_u128(7))
    }

    #[test]
    fn an_unconfirmed_claim_is_unclaimed() {
        let lost = LostClaims::default();
        let tokens: Vec<Uuid> = (1..4).map(Uuid::from_u128).collect();
        lost.pending(worker(), tokens.clone()).confirm(vec![]);
        assert!(lost.to_unclaim().1.is_empty());
        drop(lost.pending(worker(), tokens.clone()));
        let wanted = (vec![worker().uuid()], tokens.clone());
        assert_eq!(lost.to_unclaim(), wanted);
        assert_eq!(lost.to_unclaim(), wanted, "repeatedly");
        let lost = LostClaims::default();
        lost.pending(worker(), tokens.clone()).confirm(vec![tokens[1]]);
        assert_eq!(lost.to_unclaim().1, [tokens[1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_claims_expire_and_are_bounded_in_number() {
        let lost = LostClaims::default();
        let tokens: Vec<Uuid> = (0..10_500).map(Uuid::from_u128).collect();
        drop(lost.pending(worker(), tokens.clone()));
        assert_eq!(lost.to_unclaim().1, tokens[500..]);
        tokio::time::advance(LOST_CLAIM_RETENTION).await;
        assert!(lost.to_unclaim().1.is_empty());
    }
}
