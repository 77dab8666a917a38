//! A limit on how many lines of a plugin are logged.

use std::time::Duration;
use tokio::time::Instant;

/// Most lines of one kind that are logged in a second.
const MAX_LINES_PER_SECOND: u32 = 200;

/// The lines of one kind that a plugin has logged of late.
#[derive(Debug)]
pub(super) struct LineRate {
    since: Instant,
    logged: u32,
    dropped: u32,
}

/// A decision about one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    No,
    /// Yes, and this many have been dropped before it.
    After(u32),
}

impl LineRate {
    pub fn new() -> Self {
        Self { since: Instant::now(), logged: 0, dropped: 0 }
    }

    pub fn admit(&mut self) -> Admitted {
        if self.since.elapsed() >= Duration::from_secs(1) {
            self.since = Instant::now();
            self.logged = 0;
        }
        if self.logged == MAX_LINES_PER_SECOND {
            self.dropped = self.dropped.saturating_add(1);
            return Admitted::No;
        }
        self.logged += 1;
        Admitted::After(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_above_the_limit_are_dropped_and_counted() {
        let mut rate = LineRate::new();
        let admitted = (0..500).filter(|_| rate.admit() == Admitted::After(0)).count();
        assert_eq!(admitted, 200);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rate.admit(), Admitted::After(300));
        assert_eq!(rate.admit(), Admitted::After(0));
    }
}
