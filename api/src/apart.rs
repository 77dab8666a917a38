//! Work on large messages, apart from what else the thread does: decoding the largest takes some tenths of a second, and
//! neither health checks nor the heartbeats of a worker in the same process can wait for that. Only some threads at a time do such
//! work, so that it leaves processors to everybody else.

use std::{future::poll_fn, mem, pin::pin, sync::LazyLock, thread::available_parallelism};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// Smallest message that is a large one, in bytes.
const LARGE_BYTES: usize = 256 << 10;

/// Threads that may work on large messages at once: half of the processors.
static THREADS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, std::num::NonZero::get);
    Semaphore::new(processors.div_ceil(2))
});

/// Decides if work on so many bytes leaves the async threads. A runtime of one thread has no other to go on with.
fn is_apart(bytes: usize) -> bool {
    let threads = || Handle::try_current().map(|runtime| runtime.runtime_flavor());
    bytes > LARGE_BYTES && threads().is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread)
}

/// Works on so many bytes.
pub async fn apart<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if !is_apart(bytes) {
        return work();
    }
    // Never closed; were it, the work would still have to be done.
    let _thread = THREADS.acquire().await.ok();
    block_in_place(work)
}

/// Works on so many bytes until it first waits for something, and then like anything else.
pub async fn begun_apart<T>(bytes: usize, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !is_apart(bytes) {
        return work.await;
    }
    let mut thread = THREADS.acquire().await.ok();
    let mut begins = true;
    poll_fn(|context| {
        if mem::take(&mut begins) {
            let polled = block_in_place(|| work.as_mut().poll(context));
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
    fn others_go_on_while_a_large_message_is_worked_on() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (first, after) = oneshot::channel();
        // Started within the same thread, so that it is behind the other there.
        let work = runtime.spawn(begun_apart(LARGE_BYTES + 1, async move {
            longhaul_runtime::spawn("other", async move {
                after.await.unwrap();
                tell.send(()).unwrap();
            });
            first.send(()).unwrap();
            told.recv_timeout(Duration::from_secs(20)).is_ok()
        }));
        assert!(runtime.block_on(work).unwrap(), "the other went on");
    }

    #[test]
    fn others_go_on_while_a_large_request_is_decoded() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let work = runtime.spawn(async move {
            longhaul_runtime::spawn("other", async move { tell.send(()).unwrap() });
            let waits = move || told.recv_timeout(Duration::from_secs(20)).is_ok();
            apart(LARGE_BYTES + 1, waits).await
        });
        assert!(runtime.block_on(work).unwrap(), "the other went on");
    }

    #[tokio::test]
    async fn one_thread_does_all_of_it() {
        assert_eq!(begun_apart(LARGE_BYTES + 1, async { 1 }).await, 1);
    }
}
