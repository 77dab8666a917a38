//! The life of a serving process: logs, runtime, signals, and an end that comes whatever hangs.

use super::open_files;
use crate::{exit::Failure, exit::Outcome};
use longhaul_runtime::{
    Settings, Shutdown,
    settings::ignored_kubernetes_variables,
    spawn,
    telemetry::{self, TelemetryError},
};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// How long an executor that was told to stop has to do so.
pub const GRACE: Duration = Duration::from_secs(5);
/// What the process gets after that to write down the rest.
const LAST_MOMENTS: Duration = Duration::from_secs(7);
const RUNTIME_END: Duration = Duration::from_millis(500);

/// Runs `work` until it ends, or until it should have.
pub fn serve<F>(settings: &Settings, service: &str, work: impl FnOnce(Shutdown) -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    let _flushed_at_the_end =
        telemetry::init(&settings.log, service).map_err(|error| match error {
            TelemetryError::AlreadySetUp => Failure::failed(error.to_string()),
            TelemetryError::Filter(_) | TelemetryError::Export(_) => {
                Failure::usage(error.to_string())
            }
        })?;
    open_files::raise_limit();
    mention_kubernetes();
    let drain = settings.server.drain.get().max(settings.worker.drain.get());
    let runtime = crate::runtime()?;
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown
            .listen_for_signals()
            .map_err(|error| Failure::failed(format!("signals cannot be heard: {error}")))?;
        bounded(&shutdown, drain, GRACE + LAST_MOMENTS, work(shutdown.clone())).await
    });
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

/// Says that variables were ignored which Kubernetes sets for a service named `longhaul`.
fn mention_kubernetes() {
    let ignored = ignored_kubernetes_variables(std::env::vars_os());
    if let Some(first) = ignored.first() {
        let count = ignored.len();
        tracing::info!(count, first, "ignored variables that Kubernetes sets for a service");
    }
}

/// Leaves work behind that does not end in time after it was told to.
async fn bounded(
    shutdown: &Shutdown,
    drain: Duration,
    last: Duration,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    let overdue = async {
        shutdown.draining().cancelled().await;
        // However the drain ends, the rest has the same time.
        let _ = tokio::time::timeout(drain, shutdown.stop_now().cancelled()).await;
        tokio::time::sleep(last).await;
    };
    tokio::select! {
        biased;
        outcome = work => outcome,
        () = overdue => {
            tracing::error!("something did not end in time and is left behind");
            Err(Failure::failed("something did not end in time and was left behind; nothing acknowledged is lost"))
        }
    }
}

/// A shutdown that begins when its parent does, and whose own end does not touch the parent.
pub fn child_of(parent: &Shutdown) -> Shutdown {
    let child = Shutdown::new();
    let (from, to) = (parent.clone(), child.clone());
    spawn("pass on the shutdown", async move {
        from.draining().cancelled().await;
        to.drain();
        from.stop_now().cancelled().await;
        to.stop();
    });
    child
}

/// The runtime of executors: one that blocks its threads starves other executors only.
pub struct ExecutorRuntime(Option<Runtime>);

impl ExecutorRuntime {
    /// Starts its threads.
    pub fn start() -> Result<Self, Failure> {
        let built = Builder::new_multi_thread().thread_name("executor").enable_all().build();
        let failed =
            |error| Failure::failed(format!("the runtime of executors cannot start: {error}"));
        built.map(|runtime| Self(Some(runtime))).map_err(failed)
    }

    /// Where executors are started.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for ExecutorRuntime {
    /// Executors that still run are left behind: a blocked thread must not keep the process.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Done;
    use std::future::pending;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_left_behind() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        let begun = tokio::time::Instant::now();
        let outcome = bounded(&shutdown, SECOND * 30, SECOND * 10, pending()).await;
        assert_eq!(outcome.unwrap_err().code(), 1);
        assert_eq!(begun.elapsed(), SECOND * 40);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_shortens_the_wait() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        let begun = tokio::time::Instant::now();
        assert!(bounded(&shutdown, SECOND * 30, SECOND * 10, pending()).await.is_err());
        assert_eq!(begun.elapsed(), SECOND * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_is_waited_for() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        let work = async {
            tokio::time::sleep(SECOND).await;
            Ok(Done::Ok)
        };
        assert_eq!(bounded(&shutdown, SECOND * 30, SECOND, work).await, Ok(Done::Ok));
    }

    #[tokio::test]
    async fn a_child_ends_with_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (one, two) = (child_of(&parent), child_of(&parent));
        one.stop();
        assert!(!parent.draining().is_cancelled());
        parent.stop();
        two.stop_now().cancelled().await;
    }
}
