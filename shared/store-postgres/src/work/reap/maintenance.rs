//! Tracks periodic work that not every pass does: full scans, runs held back, and dedupe key
//! pruning.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Interval between full scans.
const FULL_SCAN_INTERVAL: Duration = Duration::from_secs(10);

/// Pause between two walks through the table of dedupe keys.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// Agent, owner and concurrency key.
pub type ConcurrencyKeyCursor = (String, i32, String);

/// Progress of this process's periodic work.
#[derive(Default)]
pub struct MaintenanceProgress {
    last: Mutex<Option<Instant>>,
    held_back_cursor: Mutex<ConcurrencyKeyCursor>,
    pruning: Mutex<PruneProgress>,
}

/// Progress of the walk through the dedupe keys.
#[derive(Default)]
struct PruneProgress {
    /// Next page.
    page: i64,
    /// Time of the last completed walk.
    ended: Option<Instant>,
}

impl MaintenanceProgress {
    /// Claims the next full scan; returns whether it is due.
    pub fn full_scan_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let full_scan_due = last.is_none_or(|last| now.duration_since(last) >= FULL_SCAN_INTERVAL);
        if full_scan_due {
            // Claimed under the lock, so that concurrent passes make one full scan.
            *last = Some(now);
        }
        full_scan_due
    }

    /// Key behind which held-back runs are examined next.
    pub fn held_back_cursor(&self) -> ConcurrencyKeyCursor {
        self.held_back_cursor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// First page to prune now; `None` for a while after a completed walk.
    pub fn prune_from(&self) -> Option<i64> {
        let pruning = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = pruning.ended.is_some_and(|ended| ended.elapsed() < PRUNE_INTERVAL);
        (pruning.page > 0 || !rests).then_some(pruning.page)
    }

    /// Records that the table was pruned up to a page, and its size in pages.
    pub fn record_pruned(&self, page: i64, pages: i64) {
        let mut pruning = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        *pruning = if page < pages {
            PruneProgress { page, ended: pruning.ended }
        } else {
            PruneProgress { page: 0, ended: Some(Instant::now()) }
        };
    }

    /// Records the last examined key.
    pub fn record_held_back(&self, place: ConcurrencyKeyCursor) {
        *self.held_back_cursor.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_scan_is_due_from_time_to_time() {
        let maintenance = MaintenanceProgress::default();
        assert!(maintenance.full_scan_due());
        assert!(!maintenance.full_scan_due());
        tokio::time::advance(FULL_SCAN_INTERVAL).await;
        assert!(maintenance.full_scan_due());
        assert!(!maintenance.full_scan_due());
    }

    #[tokio::test(start_paused = true)]
    async fn pruning_walks_page_by_page_and_then_pauses() {
        let maintenance = MaintenanceProgress::default();
        assert_eq!(maintenance.prune_from(), Some(0));
        maintenance.record_pruned(500, 700);
        assert_eq!(maintenance.prune_from(), Some(500));
        maintenance.record_pruned(1_000, 700);
        assert_eq!(maintenance.prune_from(), None);
        tokio::time::advance(PRUNE_INTERVAL).await;
        assert_eq!(maintenance.prune_from(), Some(0));
    }
}
