//! Unique message numbers, and a check that no two answers concern the same task.

use crate::http::answer::TaskIdBits;
use std::{
    collections::HashSet,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

static SEEN: LazyLock<Mutex<HashSet<TaskIdBits>>> = LazyLock::new(Mutex::default);

/// A number unique in this run, for [`EchoMessage::body`](crate::http::EchoMessage::body) and
/// [`message_id`](crate::http::message_id).
pub fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Records task ids. Panics on a duplicate.
pub fn record(ids: impl IntoIterator<Item = TaskIdBits>) {
    let mut seen = SEEN.lock().expect("no panic while the lock is held, except the one below");
    for id in ids {
        assert!(seen.insert(id), "two answers are of the same task {id:032x}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "the same task")]
    fn a_duplicate_task_id_fails_the_run() {
        super::record([1, 2, 3, 2]);
    }
}
