//! Waiting for a condition, with a deadline and a message that names the condition.
//!
//! The only place of the harness that sleeps. Tests wait for conditions, never for time.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls `probe` until it returns `Ok`, and returns the value. After `limit`, panics with `what`
/// and the last `Err`.
///
/// ```
/// # async fn example() {
/// use std::time::Duration;
/// let answer = longhaul_tests::eventually(Duration::from_secs(5), "the answer is known", async || {
///     Some(42).ok_or("still thinking")
/// })
/// .await;
/// assert_eq!(answer, 42);
/// # }
/// ```
pub async fn eventually<T, E: Debug>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) if started.elapsed() >= limit => {
                panic!("not within {limit:?}: {what}; the last look gave {last:?}")
            }
            Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// [`eventually`] for code without a runtime.
pub fn eventually_blocking<T, E: Debug>(
    limit: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if started.elapsed() >= limit => {
                panic!("not within {limit:?}: {what}; the last look gave {last:?}")
            }
            Err(_) => sleep(POLL_INTERVAL),
        }
    }
}

/// Waits one poll interval, for callers with a loop of their own.
pub(crate) async fn pause() {
    tokio::time::sleep(POLL_INTERVAL).await;
}

/// Polls until `probe` returns `Some`, for at most `limit`.
pub(crate) fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = probe();
        if found.is_some() || started.elapsed() >= limit {
            return found;
        }
        sleep(POLL_INTERVAL);
    }
}
