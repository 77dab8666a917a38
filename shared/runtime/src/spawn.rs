//! Background tasks whose panics are logged.
//!
//! A panic of a task is logged with the task's name, even if nothing awaits its handle. A crash of
//! the process ends all tasks without notice: durable state is in the store before it is
//! acknowledged.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// Spawns a task in the current span. A panic is logged with `name` and then reaches the handle.
///
/// Must be called within a Tokio runtime.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that spawns tasks; it logs their panics"
    )]
    tokio::spawn(log_panic(name, future).in_current_span())
}

async fn log_panic<F: Future>(name: &'static str, future: F) -> F::Output {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(output) => output,
        Err(panic) => {
            tracing::error!(
                task = name,
                panic = panic_message(panic.as_ref()),
                "background task panicked"
            );
            // Pass the panic on, so that the handle reports it as usual.
            std::panic::resume_unwind(panic)
        }
    }
}

/// The message of a caught panic, if it has one.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A set of tasks that are stopped and awaited together; clones share it.
#[derive(Debug, Clone, Default)]
pub struct TaskSet {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl TaskSet {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty set that is also stopped when `parent` is cancelled.
    pub fn within(parent: &CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop: parent.child_token() }
    }

    /// Spawns a task of this set; see [`spawn`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // Track before spawning: `wait` must see tasks that have not been polled yet.
        spawn(name, self.tracker.track_future(future))
    }

    /// The token that is cancelled when the tasks should end; each task watches it.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// The number of running tasks.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Tells whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Signals the tasks to end, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all tasks have ended. Does not signal them.
    pub async fn wait(&self) {
        // `wait` on the tracker returns only once it is closed.
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Signals the tasks to end and waits until they have.
    pub async fn stop_and_wait(&self) {
        self.stop();
        self.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::capture_log;

    #[tokio::test]
    async fn a_panic_is_logged_with_the_name_of_its_task() {
        let log = capture_log();
        let failed = spawn("keeper", async { panic!("lost the key") }).await;
        assert!(failed.unwrap_err().is_panic());
        let text = log.text();
        assert!(text.contains("keeper") && text.contains("lost the key"), "{text}");
    }

    #[tokio::test]
    async fn a_stopped_set_waits_for_all_its_tasks() {
        let set = TaskSet::new();
        for _ in 0..3 {
            let stop = set.stopping().clone();
            set.spawn("waiter", async move { stop.cancelled().await });
        }
        assert_eq!(set.len(), 3);
        set.stop_and_wait().await;
        assert!(set.is_empty());
    }

    #[tokio::test]
    async fn cancelling_the_parent_stops_a_set_and_not_vice_versa() {
        let parent = CancellationToken::new();
        TaskSet::within(&parent).stop();
        assert!(!parent.is_cancelled());
        let set = TaskSet::within(&parent);
        parent.cancel();
        assert!(set.stopping().is_cancelled());
    }
}
