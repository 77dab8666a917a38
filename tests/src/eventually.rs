//! Waiting for something to become true, with a deadline and a message that says what never did.
//!
//! This is the only place of the harness that sleeps. A test that waits for a condition uses it; a test never waits for time.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(10);

/// Polls `probe` until it answers `Ok` and returns the value; panics with `what` and the last `Err` after `limit`.
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
            Err(_) => tokio::time::sleep(PAUSE).await,
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
            Err(_) => sleep(PAUSE),
        }
    }
}

/// Waits a moment before the next look, in code that looks by itself.
pub(crate) async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

/// Polls until `probe` answers `Some`, for at most `limit`.
pub(crate) fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = probe();
        if found.is_some() || started.elapsed() >= limit {
            return found;
        }
        sleep(PAUSE);
    }
}
