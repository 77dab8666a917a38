//! Retries of units of work, where that helps and is safe.
//!
//! Lost races are retried a few times. After a broken connection the whole unit is retried for 3
//! seconds. Every write carries an id, operation number or dedupe key, so a unit that was committed
//! unnoticed is recognised and not written twice. When the database rejects a row, the batch is
//! retried row by row, so that only that row fails.

use crate::error::{DbError, DbResult};
use futures::future::BoxFuture;
use longhaul_runtime::{Backoff, Secret, redact_url};
use longhaul_store::Result;
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Retry window after broken connections.
const CONNECTION_RETRY_WINDOW: Duration = Duration::from_secs(3);

/// Most retries after lost races.
const MAX_CONFLICT_RETRIES: u32 = 8;

/// Timeout per attempt. A unit that takes longer hangs on a dead connection, as the server cancels
/// statements after 10 seconds.
///
/// It is shorter than a lease (15 seconds), so waiting for an answer never takes longer than
/// recovery from a lost worker.
const UNIT_TIMEOUT: Duration = Duration::from_secs(12);

/// Timeout per attempt for claims and leases, whose statements the server cancels after 8 seconds.
const BRIEF_UNIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between attempts.
const RETRY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(10),
    factor: 2.0,
    max: Duration::from_millis(300),
    jitter: true,
};

/// Runs a unit until it succeeds, fails permanently or exhausts its retries.
pub async fn retry<T, Fut>(unit: impl FnMut() -> Fut + Send) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>> + Send,
{
    retry_with_timeout(UNIT_TIMEOUT, unit).await
}

/// Runs a unit like [`retry`], with a timeout of 10 seconds per attempt.
pub async fn retry_briefly<T, Fut>(unit: impl FnMut() -> Fut + Send) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>> + Send,
{
    retry_with_timeout(BRIEF_UNIT_TIMEOUT, unit).await
}

async fn retry_with_timeout<T, Fut>(
    limit: Duration,
    mut unit: impl FnMut() -> Fut + Send,
) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>> + Send,
{
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        let failure = match timeout(limit, unit()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(failure)) => failure,
            // Dropping the attempt drops its connection; whether it committed is unknown.
            Err(_) => DbError::ConnectionLost("the database does not answer".to_owned()),
        };
        let retryable = match failure {
            // Nothing was written, so retry until the limit.
            DbError::Conflict(_) => attempt < MAX_CONFLICT_RETRIES,
            DbError::ConnectionLost(_) => started.elapsed() < CONNECTION_RETRY_WINDOW,
            _ => false,
        };
        if !retryable {
            return Err(failure);
        }
        tracing::debug!(?failure, attempt, "retrying unit of work");
        sleep(RETRY_BACKOFF.random_delay(attempt)).await;
        attempt += 1;
    }
}

/// Results of a batch, one for each member.
pub type BatchResults<'a, Out> = BoxFuture<'a, DbResult<Vec<Result<Out>>>>;

/// Runs a batch. When one row spoils it, runs its members one by one.
pub async fn run_batch<Context, In, Out, F>(
    context: &Context,
    inputs: Vec<In>,
    run: F,
) -> Vec<Result<Out>>
where
    Context: Sync,
    In: Send + Sync,
    Out: Send,
    F: for<'a> Fn(&'a Context, &'a [In]) -> BatchResults<'a, Out> + Send + Sync,
{
    match retry(|| run(context, &inputs)).await {
        Ok(outputs) => outputs,
        // Find the bad row by running each member alone.
        Err(failure) if failure.is_row_error() && inputs.len() > 1 => {
            let mut outputs = Vec::with_capacity(inputs.len());
            for input in &inputs {
                let alone = retry(|| run(context, std::slice::from_ref(input))).await;
                outputs.push(alone.map_err(Into::into).and_then(single));
            }
            outputs
        }
        Err(failure) => inputs.iter().map(|_| Err(failure.clone().into())).collect(),
    }
}

fn single<Out>(mut outputs: Vec<Result<Out>>) -> Result<Out> {
    outputs.pop().unwrap_or_else(|| Err(DbError::ConnectionLost("no answer".to_owned()).into()))
}

/// Repeats a step until it succeeds, fails permanently or exceeds the limit.
pub async fn retry_until_connected<T, Fut>(
    url: &Secret<String>,
    limit: Duration,
    mut step: impl FnMut() -> Fut,
) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>>,
{
    let started = Instant::now();
    let mut attempt = 0;
    let mut last_cause = None;
    loop {
        let remaining = limit.saturating_sub(started.elapsed()).max(Duration::from_millis(100));
        let cause = match timeout(remaining, step()).await {
            Ok(Err(
                DbError::ConnectionLost(cause)
                | DbError::Unavailable(cause)
                | DbError::Conflict(cause),
            )) => cause,
            Ok(outcome) => return outcome,
            // The previous attempt's error says more than this attempt's timeout.
            Err(_) => last_cause.take().unwrap_or_else(|| "no answer".to_owned()),
        };
        let database = redact_url(url.expose());
        // Give up now if the next attempt would start after the limit.
        let delay = Backoff::DATABASE.random_delay(attempt);
        if started.elapsed() + delay >= limit {
            return Err(DbError::Unavailable(format!("no Postgres at {database}: {cause}")));
        }
        tracing::info!(database, cause, "waiting for Postgres");
        last_cause = Some(cause);
        sleep(delay).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_rejected_row_fails_alone() {
        fn run<'a>(bad: &'a u32, inputs: &'a [u32]) -> BatchResults<'a, u32> {
            let inputs = inputs.to_vec();
            Box::pin(async move {
                if inputs.contains(bad) {
                    return Err(DbError::Rejected("thirteen".to_owned()));
                }
                Ok(inputs.into_iter().map(Ok).collect())
            })
        }
        let outputs = run_batch(&13, vec![1, 13, 3], run).await;
        assert!(outputs[0].is_ok() && outputs[1].is_err() && outputs[2].is_ok());
    }

    #[tokio::test]
    async fn retries_are_bounded() {
        let tries = AtomicU32::new(0);
        let failed: DbResult<()> = retry(|| {
            tries.fetch_add(1, Ordering::Relaxed);
            async { Err(DbError::Conflict(String::new())) }
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(tries.load(Ordering::Relaxed), MAX_CONFLICT_RETRIES + 1);
    }
}
