//! Waiting, not in silence.

use super::MENTIONED;

/// Waits, and says so every few seconds.
pub async fn noisily<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let mut waited = std::time::Duration::ZERO;
    loop {
        if let Ok(done) = tokio::time::timeout(MENTIONED, &mut work).await {
            return done;
        }
        waited += MENTIONED;
        tracing::warn!(seconds = waited.as_secs(), "waiting for {what}");
    }
}
