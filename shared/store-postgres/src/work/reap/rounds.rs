//! What need not be looked at each time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How often everything is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Agent, owner and concurrency key.
pub type Place = (String, i32, String);

/// When this process has looked at everything last. Never, at first.
#[derive(Default)]
pub struct Rounds {
    last: Mutex<Option<Instant>>,
    held_back: Mutex<Place>,
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
}
