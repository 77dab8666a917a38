//! Doing it again, where that helps and is safe.
//!
//! Lost races are replayed a few times. After a broken connection the whole unit is repeated for a short while: every write
//! carries what makes it recognisable (ids, operation numbers, dedupe keys), so one that was committed without our knowing
//! is found and not written twice. A batch in which the database refuses a row is replayed one by one, so that the row
//! fails alone.

use crate::failure::{DbResult, Failure};
use futures::future::BoxFuture;
use longhaul_runtime::Backoff;
use longhaul_store::Result;
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// For how long a unit is repeated after broken connections.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a lost race is replayed.
const REPLAYS: u32 = 8;

/// A unit that takes longer hangs on a connection whose other end is gone; the server gives a statement up after 10 seconds.
/// Less than a lease: what stands still for want of an answer must not stand still for longer than what was lost.
const LIMIT: Duration = Duration::from_secs(12);

/// The same for claims and leases, whose statements the server gives up after 8 seconds.
const BRIEF: Duration = Duration::from_secs(10);

const PAUSE: Backoff = Backoff {
    initial: Duration::from_millis(10),
    factor: 2.0,
    max: Duration::from_millis(300),
    jitter: true,
};

/// Runs a unit until it succeeds, fails for good, or has been tried for long enough.
pub async fn retried<T, Fut>(unit: impl FnMut() -> Fut + Send) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>> + Send,
{
    within(LIMIT, unit).await
}

/// The same for a unit that must not keep others waiting: a try may take 10 seconds.
pub async fn retried_briefly<T, Fut>(unit: impl FnMut() -> Fut + Send) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>> + Send,
{
    within(BRIEF, unit).await
}

async fn within<T, Fut>(limit: Duration, mut unit: impl FnMut() -> Fut + Send) -> DbResult<T>
where
    Fut: Future<Output = DbResult<T>> + Send,
{
    let started = Instant::now();
    let mut attempt = 0;
    loop {
        let failure = match timeout(limit, unit()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Lost("the database does not answer".to_owned()),
        };
        let again = match failure {
            Failure::Conflict(_) => attempt < REPLAYS,
            Failure::Lost(_) => started.elapsed() < PATIENCE,
            _ => false,
        };
        if !again {
            return Err(failure);
        }
        tracing::debug!(?failure, attempt, "a unit of work is repeated");
        sleep(PAUSE.random_delay(attempt)).await;
        attempt += 1;
    }
}

/// What a batch gives: an answer for each of its members.
pub type Answers<'a, Out> = BoxFuture<'a, DbResult<Vec<Result<Out>>>>;

/// Runs a batch, and its members one by one where the batch as a whole is refused because of one of them.
pub async fn batch<Context, In, Out, F>(
    context: &Context,
    inputs: Vec<In>,
    run: F,
) -> Vec<Result<Out>>
where
    Context: Sync,
    In: Send + Sync,
    Out: Send,
    F: for<'a> Fn(&'a Context, &'a [In]) -> Answers<'a, Out> + Send + Sync,
{
    match retried(|| run(context, &inputs)).await {
        Ok(outputs) => outputs,
        Err(failure) if failure.blames_a_row() && inputs.len() > 1 => {
            let mut outputs = Vec::with_capacity(inputs.len());
            for input in &inputs {
                let alone = retried(|| run(context, std::slice::from_ref(input))).await;
                outputs.push(alone.map_err(Into::into).and_then(only));
            }
            outputs
        }
        Err(failure) => inputs.iter().map(|_| Err(failure.clone().into())).collect(),
    }
}

fn only<Out>(mut outputs: Vec<Result<Out>>) -> Result<Out> {
    outputs.pop().unwrap_or_else(|| Err(Failure::Lost("no answer".to_owned()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_refused_row_fails_alone() {
        fn run<'a>(bad: &'a u32, inputs: &'a [u32]) -> Answers<'a, u32> {
            let inputs = inputs.to_vec();
            Box::pin(async move {
                if inputs.contains(bad) {
                    return Err(Failure::Refused("thirteen".to_owned()));
                }
                Ok(inputs.into_iter().map(Ok).collect())
            })
        }
        let outputs = batch(&13, vec![1, 13, 3], run).await;
        assert!(outputs[0].is_ok() && outputs[1].is_err() && outputs[2].is_ok());
    }

    #[tokio::test]
    async fn repeating_ends() {
        let tries = AtomicU32::new(0);
        let failed: DbResult<()> = retried(|| {
            tries.fetch_add(1, Ordering::Relaxed);
            async { Err(Failure::Conflict(String::new())) }
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(tries.load(Ordering::Relaxed), REPLAYS + 1);
    }
}
