//! Names that are unique on this machine.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A fresh name of lower-case letters, digits and underscores that begins with `stem`.
pub fn name(stem: &str) -> String {
    // The time distinguishes two processes that got the same pid, one after the other, on one
    // server.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{stem}_{:x}_{}_{number}", since_epoch.as_micros(), process::id())
}
