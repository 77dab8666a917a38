//! Claims of which nobody may know.
//!
//! When the answer to a claim is lost, the claim may have been made, or be made yet: what stands in a socket's buffer or
//! waits within the server is carried out when the connection is long gone. A run that was claimed so would belong to a
//! worker that lives and does not run it. So the tokens of such claims are kept for a while, and whatever bears one is given
//! back, again and again. When the process dies, its lease ends and its runs are reaped.

use crate::{
    db::Db,
    failure::{DbResult, Failure},
};
use longhaul_domain::WorkerId;
use sqlx_core::query::query;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// Gives runs back whose claim nobody knows of. What others have locked comes the next time.
pub const UNCLAIM: &str = "-- store::unclaim
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

/// No claim is carried out later than this after it was sent: a server gives a statement up after 8 seconds, and a machine
/// gives up the bytes of a closed connection after less than 2 minutes.
const KEPT: Duration = Duration::from_secs(180);

/// More tokens than this are not kept; the oldest go first.
const MOST: usize = 10_000;

/// How long giving back may take.
const LIMIT: Duration = Duration::from_secs(5);

struct Lost {
    worker: Uuid,
    token: Uuid,
    since: Instant,
}

/// The tokens of claims whose answer was lost.
#[derive(Default)]
pub struct LostClaims(Mutex<VecDeque<Lost>>);

impl LostClaims {
    /// A claim is about to be sent with these tokens. It is lost unless it [lands](InFlight::landed).
    pub const fn in_flight(&self, worker: WorkerId, tokens: Vec<Uuid>) -> InFlight<'_> {
        InFlight { lost: self, worker: worker.uuid(), tokens }
    }

    fn note(&self, worker: Uuid, tokens: &[Uuid]) {
        let since = Instant::now();
        let mut lost = self.lock();
        lost.extend(tokens.iter().map(|token| Lost { worker, token: *token, since }));
        let over = lost.len().saturating_sub(MOST);
        lost.drain(..over);
    }

    /// Workers and tokens that are to be looked for.
    fn to_give_back(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let mut lost = self.lock();
        lost.retain(|lost| lost.since.elapsed() < KEPT);
        let workers: BTreeSet<Uuid> = lost.iter().map(|lost| lost.worker).collect();
        (workers.into_iter().collect(), lost.iter().map(|lost| lost.token).collect())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Lost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim under way. Dropped before it has landed, as when the try is given up, it is lost.
pub struct InFlight<'a> {
    lost: &'a LostClaims,
    worker: Uuid,
    tokens: Vec<Uuid>,
}

impl InFlight<'_> {
    /// The tokens of the claim.
    pub fn tokens(&self) -> &[Uuid] {
        &self.tokens
    }

    /// The answer came; runs with these tokens are handed to nobody all the same.
    pub fn landed(mut self, but: Vec<Uuid>) {
        self.tokens = but;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.tokens.is_empty() {
            self.lost.note(self.worker, &self.tokens);
        }
    }
}

/// Gives back what lost claims may have taken. Costs nothing where none was lost lately.
pub async fn give_back(db: &Db) -> DbResult<()> {
    let (workers, tokens) = db.lost.to_give_back();
    if tokens.is_empty() {
        return Ok(());
    }
    let given = query(UNCLAIM).bind(workers).bind(tokens).execute(&db.relaxed);
    let given = timeout(LIMIT, given).await;
    given.map_err(|_| Failure::Lost("the database does not answer".to_owned()))??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerId {
        WorkerId::new(Uuid::from_u128(7))
    }

    #[test]
    fn a_claim_that_does_not_land_is_looked_for() {
        let lost = LostClaims::default();
        let tokens: Vec<Uuid> = (1..4).map(Uuid::from_u128).collect();
        lost.in_flight(worker(), tokens.clone()).landed(vec![]);
        assert!(lost.to_give_back().1.is_empty());
        drop(lost.in_flight(worker(), tokens.clone()));
        let wanted = (vec![worker().uuid()], tokens.clone());
        assert_eq!(lost.to_give_back(), wanted);
        assert_eq!(lost.to_give_back(), wanted, "again and again");
        let lost = LostClaims::default();
        lost.in_flight(worker(), tokens.clone()).landed(vec![tokens[1]]);
        assert_eq!(lost.to_give_back().1, [tokens[1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_claims_are_forgotten_after_a_while_and_bounded_in_number() {
        let lost = LostClaims::default();
        let tokens: Vec<Uuid> = (0..10_500).map(Uuid::from_u128).collect();
        drop(lost.in_flight(worker(), tokens.clone()));
        assert_eq!(lost.to_give_back().1, tokens[500..]);
        tokio::time::advance(KEPT).await;
        assert!(lost.to_give_back().1.is_empty());
    }
}
