//! CPU-heavy work on large messages, kept off the async threads.
//!
//! Decoding the largest message takes some tenths of a second, and neither health checks nor the
//! heartbeats of a worker in the same process can wait that long. Only half of the processors do
//! such work at a time, so others stay free.

use std::{future::poll_fn, mem, pin::pin, sync::LazyLock, thread::available_parallelism};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// Size from which work on a message moves off the async threads, in bytes.
const MIN_LARGE_BYTES: usize = 256 << 10;

/// Permits for such work: half of the processors.
static BLOCKING_THREADS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, std::num::NonZero::get);
    Semaphore::new(processors.div_ceil(2))
});

/// Decides if work on `bytes` blocks in place. A single-threaded runtime has no other thread to go
/// on with.
fn should_block_in_place(bytes: usize) -> bool {
    let threads = || Handle::try_current().map(|runtime| runtime.runtime_flavor());
    bytes > MIN_LARGE_BYTES && threads().is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread)
}

/// Runs `work`, which handles `bytes`, outside the async threads if it is large.
pub async fn block_in_place_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if !should_block_in_place(bytes) {
        return work();
    }
    // The semaphore is never closed; if it were, the work would still have to be done.
    let _thread = BLOCKING_THREADS.acquire().await.ok();
    block_in_place(work)
}

/// Polls `work` outside the async threads until it first waits, if it is large; then like any other
/// future.
pub async fn first_poll_in_place_if_large<T>(bytes: usize, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !should_block_in_place(bytes) {
        return work.await;
    }
    let mut thread = BLOCKING_THREADS.acquire().await.ok();
    let mut begins = true;
    poll_fn(|context| {
        if mem::take(&mut begins) {
            let polled = block_in_place(|| work.as_mut().poll(context));
            // The permit covers the first poll only: what follows waits rather than computes.
            thread = None;
            polled
        } else {
            work.as_mut().poll(context)
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[test]
    fn other_tasks_run_during_the_first_poll_of_a_large_message() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (first, after) = oneshot::channel();
        // Spawned from within the same thread, so it is queued behind the blocking work.
        let work = runtime.spawn(first_poll_in_place_if_large(MIN_LARGE_BYTES + 1, async move {
            longhaul_runtime::spawn("other", async move {
                after.await.unwrap();
                sender.send(()).unwrap();
            });
            first.send(()).unwrap();
            receiver.recv_timeout(Duration::from_secs(20)).is_ok()
        }));
        assert!(runtime.block_on(work).unwrap(), "the other task ran");
    }

    #[test]
    fn other_tasks_run_while_a_large_request_is_decoded() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let work = runtime.spawn(async move {
            longhaul_runtime::spawn("other", async move { sender.send(()).unwrap() });
            let waits = move || receiver.recv_timeout(Duration::from_secs(20)).is_ok();
            block_in_place_if_large(MIN_LARGE_BYTES + 1, waits).await
        });
        assert!(runtime.block_on(work).unwrap(), "the other task ran");
    }

    #[tokio::test]
    async fn a_single_threaded_runtime_does_not_block_in_place() {
        assert_eq!(first_poll_in_place_if_large(MIN_LARGE_BYTES + 1, async { 1 }).await, 1);
    }
}
