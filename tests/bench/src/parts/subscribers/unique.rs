//! Message ids that no run of the benchmark has used.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// An id that begins with these words.
pub fn id(words: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{words}-{nanos}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
