//! `demo`: packs for a trip, to show what a task can do besides echo.
//!
//! It asks where the trip goes, reports progress, looks up the weather in a step (done once,
//! whatever crashes), and streams a packing list in chunks. A message that mentions a flaky service
//! makes the first attempt fail, so that a retry can be watched. Everything follows from the
//! messages: an attempt after a crash writes the same list.

use async_trait::async_trait;
use longhaul_executor::prelude::*;
use std::time::Duration;

/// A pause between two outputs, long enough to be seen and short enough to be waited for.
const PAUSE: Duration = Duration::from_millis(400);

/// A word that makes the first attempt fail.
const FLAKY: &str = "flaky";

/// The demonstration executor.
#[derive(Debug, Clone)]
pub struct Demo {
    descriptor: ExecutorDescriptor,
}

impl Demo {
    /// A demonstration under this description.
    pub const fn new(descriptor: ExecutorDescriptor) -> Self {
        Self { descriptor }
    }
}

#[async_trait]
impl Executor for Demo {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let text = ctx.resolve(ctx.message().clone()).await?.text();
        let Some(destination) = destination(&text) else {
            return Ok(ctx.input_required("Where does the trip go?"));
        };
        ctx.status(format!("Looking up the weather in {destination}")).await?;
        pause(&ctx).await?;
        // After a status, so that a watcher sees the attempt before it fails.
        if ctx.attempt() == 1 && text.to_lowercase().contains(FLAKY) {
            return Ok(Outcome::Failed(ExecutorFailure::retryable(
                "the weather service did not answer",
            )));
        }
        // A step: an attempt after a crash reads the stored weather, and packs the same things.
        let weather = ctx.step("weather", async |_| Ok(forecast(destination).to_owned())).await?;
        let list = packing_list(&weather);
        let mut writer = ctx.stream_artifact(ArtifactSpec::named("packing-list.md"));
        writer.write(vec![Part::text(format!("# {destination}, {weather}\n"))]).await?;
        for (number, item) in list.iter().enumerate() {
            let progress = serde_json::json!({"packed": number, "of": list.len()});
            ctx.progress(format!("Packing {item}"), progress).await?;
            pause(&ctx).await?;
            writer.write(vec![Part::text(format!("- {item}\n"))]).await?;
        }
        Ok(ctx.completed(format!("{} things are packed. Enjoy {destination}!", list.len())))
    }
}

/// The destination that a message names: its text up to the first comma.
fn destination(text: &str) -> Option<&str> {
    let name = text.split([',', '\n']).next().unwrap_or_default().trim();
    (!name.is_empty()).then_some(name)
}

/// The weather at a place, the same every time.
fn forecast(destination: &str) -> &'static str {
    let sum: usize = destination.bytes().map(usize::from).sum();
    ["sunny", "rainy", "snowy"][sum % 3]
}

fn packing_list(weather: &str) -> [&'static str; 4] {
    let gear = match weather {
        "sunny" => "sun glasses",
        "rainy" => "an umbrella",
        _ => "warm gloves",
    };
    ["a passport", "a toothbrush", gear, "a good book"]
}

/// Waits a moment. Ends at once when the run has to stop.
async fn pause(ctx: &TaskContext) -> Result<(), ExecutorError> {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => Ok(()),
        reason = ctx.stopped() => Err(reason.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_executor::{
        domain::TaskState,
        testkit::{TestRun, TestRunEnd, crash_everywhere},
    };

    fn demo(text: &str) -> TestRun {
        let descriptor = ExecutorDescriptor::text("demo", "1.0.0", "").expect("a valid name");
        TestRun::new(Demo::new(descriptor)).text(text)
    }

    #[tokio::test(start_paused = true)]
    async fn it_streams_a_packing_list_and_reports_progress() {
        let report = demo("Lisbon").run().await;
        assert_eq!(report.state(), TaskState::Completed);
        let list = report.artifact_text("artifact-1");
        assert!(list.starts_with("# Lisbon, ") && list.ends_with("- a good book\n"), "{list}");
        assert_eq!(report.chunks().len(), 5);
        let said = report.status_texts();
        assert_eq!((said.len(), said[0].as_str()), (5, "Looking up the weather in Lisbon"));
        assert_eq!(report.status_text(), "4 things are packed. Enjoy Lisbon!");
    }

    #[tokio::test(start_paused = true)]
    async fn it_asks_where_the_trip_goes() {
        let asked = demo(" ").run().await;
        assert_eq!(asked.state(), TaskState::InputRequired);
        let report = asked.answer("Oslo").run().await;
        assert!(report.artifact_text("artifact-2-1").starts_with("# Oslo, "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flaky_service_fails_the_first_attempt_and_not_the_second() {
        let failed = demo("Lisbon, with a flaky weather service").run().await;
        assert!(failed.failure().retryable);
        assert_eq!(failed.retry().run().await.state(), TaskState::Completed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancellation_stops_it_between_two_items() {
        let report = demo("Lisbon").cancel_after_events(3).run().await;
        assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::Canceled));
        assert_eq!(report.chunks().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_may_be_killed_anywhere() {
        crash_everywhere(async || demo("Lisbon")).await;
    }
}
