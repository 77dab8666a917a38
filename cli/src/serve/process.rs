//! Process lifecycle: logs, runtime, signals, and an exit that is bounded in time.

use super::open_files;
use crate::{exit::CommandError, exit::CommandResult};
use longhaul_runtime::{
    Settings, Shutdown,
    settings::ignored_kubernetes_variables,
    spawn,
    telemetry::{self, TelemetryError},
};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Time for an executor to end after it was asked to stop.
pub const EXECUTOR_GRACE: Duration = Duration::from_secs(5);
/// Time after that for the process to release its runs and close its connections.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(7);
/// Time for the threads of the runtime to end.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs `work` until it ends, or until its time is up after a signal.
pub fn serve<F>(
    settings: &Settings,
    service: &str,
    work: impl FnOnce(Shutdown) -> F,
) -> CommandResult
where
    F: Future<Output = CommandResult>,
{
    let _flushed_on_drop =
        telemetry::init(&settings.log, service).map_err(|error| match error {
            TelemetryError::AlreadySetUp => CommandError::failed(error.to_string()),
            TelemetryError::Filter(_) | TelemetryError::Export(_) => {
                CommandError::usage(error.to_string())
            }
        })?;
    open_files::raise_limit();
    log_ignored_variables();
    // `dev` drains API and worker at once, so the longer time counts for both.
    let drain = settings.server.drain.get().max(settings.worker.drain.get());
    let runtime = crate::runtime()?;
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown
            .listen_for_signals()
            .map_err(|error| CommandError::failed(format!("signals cannot be heard: {error}")))?;
        until_overdue(&shutdown, drain, EXECUTOR_GRACE + RELEASE_TIMEOUT, work(shutdown.clone()))
            .await
    });
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    outcome
}

/// Logs that variables were ignored that Kubernetes sets for a service named `longhaul`.
fn log_ignored_variables() {
    let ignored = ignored_kubernetes_variables(std::env::vars_os());
    if let Some(first) = ignored.first() {
        let count = ignored.len();
        tracing::info!(count, first, "ignored variables that Kubernetes sets for a service");
    }
}

/// Runs `work`; abandons it if it does not end in time after a signal.
async fn until_overdue(
    shutdown: &Shutdown,
    drain: Duration,
    grace: Duration,
    work: impl Future<Output = CommandResult>,
) -> CommandResult {
    let overdue = async {
        shutdown.draining().cancelled().await;
        // The drain ends by itself or by a second signal; the grace is the same.
        let _ = tokio::time::timeout(drain, shutdown.stop_now().cancelled()).await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        biased;
        outcome = work => outcome,
        () = overdue => {
            tracing::error!("shutdown timed out: abandoning what still runs");
            Err(CommandError::failed("something did not end in time and was left behind; nothing acknowledged is lost"))
        }
    }
}

/// Creates a shutdown that follows its parent. Stopping the child does not stop the parent.
pub fn child_shutdown(parent: &Shutdown) -> Shutdown {
    let child = Shutdown::new();
    let (from, to) = (parent.clone(), child.clone());
    spawn("forward shutdown", async move {
        from.draining().cancelled().await;
        to.drain();
        from.stop_now().cancelled().await;
        to.stop();
    });
    child
}

/// The runtime of executors. An executor that blocks its threads starves other executors only.
pub struct ExecutorRuntime(Option<Runtime>);

impl ExecutorRuntime {
    /// Starts the threads.
    pub fn start() -> Result<Self, CommandError> {
        let built = Builder::new_multi_thread().thread_name("executor").enable_all().build();
        let failed =
            |error| CommandError::failed(format!("the runtime of executors cannot start: {error}"));
        built.map(|runtime| Self(Some(runtime))).map_err(failed)
    }

    /// The handle to start executors on.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for ExecutorRuntime {
    /// Abandons executors that still run: a blocked thread must not delay the exit.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Completion;
    use std::future::pending;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn hanging_work_is_abandoned() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        let begun = tokio::time::Instant::now();
        let outcome = until_overdue(&shutdown, SECOND * 30, SECOND * 10, pending()).await;
        assert_eq!(outcome.unwrap_err().code(), 1);
        assert_eq!(begun.elapsed(), SECOND * 40);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_shortens_the_wait() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        let begun = tokio::time::Instant::now();
        assert!(until_overdue(&shutdown, SECOND * 30, SECOND * 10, pending()).await.is_err());
        assert_eq!(begun.elapsed(), SECOND * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_in_time_is_awaited() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        let work = async {
            tokio::time::sleep(SECOND).await;
            Ok(Completion::Ok)
        };
        assert_eq!(until_overdue(&shutdown, SECOND * 30, SECOND, work).await, Ok(Completion::Ok));
    }

    #[tokio::test]
    async fn a_child_stops_with_its_parent_but_not_the_reverse() {
        let parent = Shutdown::new();
        let (one, two) = (child_shutdown(&parent), child_shutdown(&parent));
        one.stop();
        assert!(!parent.draining().is_cancelled());
        parent.stop();
        two.stop_now().cancelled().await;
    }
}
