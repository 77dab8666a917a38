//! The store's clock: that of the process, but it never goes back while the process lives.

use longhaul_runtime::Clock;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Milliseconds since 1970, for writers and readers alike.
pub struct Time {
    clock: Arc<dyn Clock>,
    last: AtomicI64,
}

impl Time {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: AtomicI64::new(0) }
    }

    pub fn now(&self) -> i64 {
        let now = self.clock.now().timestamp_millis();
        self.last.fetch_max(now, Ordering::AcqRel).max(now)
    }
}
