//! Limits on the output of a plugin that reaches the log and error messages.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Maximum number of lines of one kind that are logged in a second.
const MAX_LINES_PER_SECOND: u32 = 200;

/// Number of lines of standard error that an error message shows.
const MAX_TAIL_LINES: usize = 10;

/// Maximum length of each of these lines, bytes.
pub(super) const MAX_TAIL_LINE_BYTES: usize = 300;

/// Limits the rate of logged lines, for one kind of line of a plugin.
#[derive(Debug)]
pub(super) struct LogRateLimiter {
    since: Instant,
    logged: u32,
    dropped: u32,
}

/// The decision about one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LogAdmission {
    Dropped,
    Admitted {
        /// Number of lines dropped since the last admitted one.
        dropped_before: u32,
    },
}

impl LogRateLimiter {
    pub fn new() -> Self {
        Self { since: Instant::now(), logged: 0, dropped: 0 }
    }

    pub fn admit(&mut self) -> LogAdmission {
        if self.since.elapsed() >= Duration::from_secs(1) {
            self.since = Instant::now();
            self.logged = 0;
        }
        if self.logged == MAX_LINES_PER_SECOND {
            // Reported with the next admitted line, so that a flood leaves a trace in the log.
            self.dropped = self.dropped.saturating_add(1);
            return LogAdmission::Dropped;
        }
        self.logged += 1;
        LogAdmission::Admitted { dropped_before: std::mem::take(&mut self.dropped) }
    }
}

/// The last lines of a plugin's standard error.
#[derive(Debug, Default)]
pub(super) struct StderrTail(Mutex<VecDeque<String>>);

impl StderrTail {
    pub fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MAX_TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines as a paragraph for the end of a cause. Empty when nothing was written.
    pub fn paragraph(&self) -> String {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.make_contiguous() {
            [] => String::new(),
            lines => format!("\nlast lines of standard error:\n{}", lines.join("\n")),
        }
    }

    /// The lines as a clause for the end of an error message. Empty when nothing was written.
    pub fn clause(&self) -> String {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.make_contiguous() {
            [] => String::new(),
            lines => format!("; last lines of standard error: {}", lines.join(" | ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_above_the_limit_are_dropped_and_counted() {
        let all = LogAdmission::Admitted { dropped_before: 0 };
        let mut rate = LogRateLimiter::new();
        let admitted = (0..500).filter(|_| rate.admit() == all).count();
        assert_eq!(admitted, 200);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rate.admit(), LogAdmission::Admitted { dropped_before: 300 });
        assert_eq!(rate.admit(), all);
    }
}
