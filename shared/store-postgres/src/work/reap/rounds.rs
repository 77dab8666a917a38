//! What need not be looked at each time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How often everything is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// How long the table of dedupe keys is left alone once it was walked to its end.
const WALK_EVERY: Duration = Duration::from_secs(600);

/// Agent, owner and concurrency key.
pub type Place = (String, i32, String);

/// When this process has looked at everything last. Never, at first.
#[derive(Default)]
pub struct Rounds {
    last: Mutex<Option<Instant>>,
    held_back: Mutex<Place>,
    pruning: Mutex<Pruning>,
}

/// Where the walk through the dedupe keys is.
#[derive(Default)]
struct Pruning {
    /// The next page.
    page: i64,
    /// When it was at the end last. Never, at first.
    ended: Option<Instant>,
}

impl Rounds {
    /// Whether it is time to look at everything, by this caller.
    pub fn thorough(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let thorough = last.is_none_or(|last| now.duration_since(last) >= EVERY);
        if thorough {
            *last = Some(now);
        }
        thorough
    }

    /// Behind which key the runs are looked at that are held back.
    pub fn held_back(&self) -> Place {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From which page old dedupe keys are to be deleted now; `None` when all were looked at a short while ago.
    pub fn prune_from(&self) -> Option<i64> {
        let pruning = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = pruning.ended.is_some_and(|ended| ended.elapsed() < WALK_EVERY);
        (pruning.page > 0 || !rests).then_some(pruning.page)
    }

    /// Old dedupe keys were deleted up to a page, of so many.
    pub fn pruned(&self, page: i64, pages: i64) {
        let mut pruning = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        *pruning = if page < pages {
            Pruning { page, ended: pruning.ended }
        } else {
            Pruning { page: 0, ended: Some(Instant::now()) }
        };
    }

    /// Up to this key they were looked at.
    pub fn looked_at(&self, place: Place) {
        *self.held_back.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_is_looked_at_from_time_to_time() {
        let rounds = Rounds::default();
        assert!(rounds.thorough());
        assert!(!rounds.thorough());
        tokio::time::advance(EVERY).await;
        assert!(rounds.thorough());
        assert!(!rounds.thorough());
    }

    #[tokio::test(start_paused = true)]
    async fn old_keys_are_looked_for_page_by_page_and_then_not_for_a_while() {
        let rounds = Rounds::default();
        assert_eq!(rounds.prune_from(), Some(0));
        rounds.pruned(500, 700);
        assert_eq!(rounds.prune_from(), Some(500));
        rounds.pruned(1_000, 700);
        assert_eq!(rounds.prune_from(), None);
        tokio::time::advance(WALK_EVERY).await;
        assert_eq!(rounds.prune_from(), Some(0));
    }
}
