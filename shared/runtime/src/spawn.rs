//! Background tasks whose panics are seen.
//!
//! A task started here that panics leaves an error with its name in the log, whether or not somebody awaits its handle. A
//! crash of the process ends all of them without notice: whatever must survive is in the store before it is answered.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// Starts a task in the current span. A panic is logged with `name` and then seen by the handle as usual.
///
/// Must be called within a Tokio runtime.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that starts tasks, and it logs their panics"
    )]
    tokio::spawn(watched(name, future).in_current_span())
}

async fn watched<F: Future>(name: &'static str, future: F) -> F::Output {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(output) => output,
        Err(panic) => {
            tracing::error!(
                task = name,
                panic = panic_message(panic.as_ref()),
                "a background task panicked"
            );
            std::panic::resume_unwind(panic)
        }
    }
}

/// What a caught panic said, when it said it in words.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Tasks that belong together: told to end together and waited for together. Clones share the tasks.
#[derive(Debug, Clone, Default)]
pub struct TaskSet {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl TaskSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty set that is also told to end when `parent` is cancelled.
    pub fn within(parent: &CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop: parent.child_token() }
    }

    /// Starts a task of this set; see [`spawn`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        spawn(name, self.tracker.track_future(future))
    }

    /// Cancelled when the tasks shall end; they watch it themselves.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// How many tasks run.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Tells the tasks to end, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until no task of the set runs any more. Does not tell them to end.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Tells the tasks to end and waits until they have.
    pub async fn stop_and_wait(&self) {
        self.stop();
        self.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::captured;

    #[tokio::test]
    async fn a_panic_is_logged_with_the_name_of_its_task() {
        let log = captured();
        let failed = spawn("keeper", async { panic!("lost the key") }).await;
        assert!(failed.unwrap_err().is_panic());
        let text = log.text();
        assert!(text.contains("keeper") && text.contains("lost the key"), "{text}");
    }

    #[tokio::test]
    async fn a_set_ends_when_all_its_tasks_have() {
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
    async fn a_set_within_a_token_ends_with_it_and_not_the_other_way_round() {
        let parent = CancellationToken::new();
        TaskSet::within(&parent).stop();
        assert!(!parent.is_cancelled());
        let set = TaskSet::within(&parent);
        parent.cancel();
        assert!(set.stopping().is_cancelled());
    }
}
