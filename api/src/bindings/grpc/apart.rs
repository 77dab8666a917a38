//! Work on large messages, apart from what else the thread does: decoding the largest takes some tenths of a second, and
//! whoever shares the thread, as the heartbeats of a worker may, cannot wait for that.

use std::{future::poll_fn, mem, pin::pin};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

/// A message above this many bytes is a large one.
const LARGE: usize = 256 << 10;

/// Whether work on so many bytes goes apart. A runtime of one thread has no other to go on with.
fn is_apart(bytes: usize) -> bool {
    let threads = || Handle::try_current().map(|runtime| runtime.runtime_flavor());
    bytes > LARGE && threads().is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread)
}

/// Works on so many bytes.
pub fn apart<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if is_apart(bytes) { block_in_place(work) } else { work() }
}

/// Works on so many bytes until it first waits for something, and then like anything else.
pub async fn begun_apart<T>(bytes: usize, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut begins = true;
    poll_fn(|context| {
        let bytes = if mem::take(&mut begins) { bytes } else { 0 };
        apart(bytes, || work.as_mut().poll(context))
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
        let work = runtime.spawn(begun_apart(LARGE + 1, async move {
            longhaul_runtime::spawn("other", async move {
                after.await.unwrap();
                tell.send(()).unwrap();
            });
            first.send(()).unwrap();
            told.recv_timeout(Duration::from_secs(20)).is_ok()
        }));
        assert!(runtime.block_on(work).unwrap(), "the other went on");
    }

    #[tokio::test]
    async fn one_thread_does_all_of_it() {
        assert_eq!(begun_apart(LARGE + 1, async { 1 }).await, 1);
    }
}
