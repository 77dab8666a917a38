//! Crashes at every write of an executor.

use super::{TestReport, TestRun, TestRunEnd};
use longhaul_domain::{Artifact, ArtifactId, EntryBody, LogEntry, Part};
use std::collections::BTreeMap;

/// Runs a task undisturbed, and then again for every write: once with its worker killed before the
/// write is durable, and once right after. Another attempt then continues from what was durable.
/// `task` makes a new run each time.
///
/// Panics unless every disturbed task ends like the undisturbed one, with the same state, last
/// message and artifacts, and readers of the log have seen the same artifacts. Panics when a step
/// that was done before the crash is begun again. This suits executors that do the same in every
/// attempt. Returns the last reports, the undisturbed run first.
///
/// ```
/// # use longhaul_executor::{prelude::*, testkit::{TestRun, crash_everywhere}};
/// # struct Translate;
/// # #[async_trait::async_trait]
/// # impl Executor for Translate {
/// #     fn descriptor(&self) -> ExecutorDescriptor { ExecutorDescriptor::text("translate", "1", "").unwrap() }
/// #     async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
/// #         ctx.step("one", async |step| Ok(step.status("one").await?)).await?;
/// #         Ok(Outcome::Completed(None))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// crash_everywhere(async || TestRun::new(Translate).text("Guten Tag")).await;
/// # }
/// ```
pub async fn crash_everywhere(task: impl AsyncFn() -> TestRun) -> Vec<TestReport> {
    let undisturbed = task().await.run().await;
    assert!(
        matches!(undisturbed.end(), TestRunEnd::Outcome(_)),
        "undisturbed it ended with {:?}",
        undisturbed.end()
    );
    check_readers(&undisturbed, "undisturbed");
    let mut reports = Vec::new();
    // Both sides of every write: not yet durable, and durable but not yet known to the executor.
    for write in 1..=undisturbed.writes() {
        let before = task().await.crash_before_write(write).run().await;
        reports.push(recover(&undisturbed, before, &format!("killed before write {write}")).await);
        let after = task().await.crash_after_write(write).run().await;
        reports.push(recover(&undisturbed, after, &format!("killed after write {write}")).await);
    }
    reports.insert(0, undisturbed);
    reports
}

/// Runs the attempt after a crash, and checks it.
async fn recover(undisturbed: &TestReport, crashed: TestReport, how: &str) -> TestReport {
    assert_eq!(crashed.end(), &TestRunEnd::Crashed, "{how}, but it does not do the same each time");
    let durable = crashed.checkpoints();
    let begun: Vec<&str> = crashed.steps_begun();
    let done: Vec<String> =
        begun.into_iter().filter(|step| durable.contains(step)).map(str::to_owned).collect();
    let report = crashed.after_worker_loss().run().await;
    for step in &done {
        assert!(!report.steps_begun().contains(&step.as_str()), "{how}: {step} is done again");
    }
    assert_eq!(ending(&report), ending(undisturbed), "{how}: the end");
    assert_eq!(by_id(report.artifacts()), by_id(undisturbed.artifacts()), "{how}: the artifacts");
    check_readers(&report, how);
    report
}

/// The state and the parts of the last message. Ids may differ.
fn ending(report: &TestReport) -> (String, Vec<Part>) {
    let TestRunEnd::Outcome(outcome) = report.end() else {
        return (format!("{:?}", report.end()), Vec::new());
    };
    let parts = outcome.message().map(|message| message.parts.clone()).unwrap_or_default();
    (format!("{:?}", report.state()), parts)
}

fn by_id(artifacts: &[Artifact]) -> BTreeMap<&str, &Artifact> {
    artifacts.iter().map(|artifact| (artifact.artifact_id.as_str(), artifact)).collect()
}

/// Checks that a reader who assembles the chunks of the log gets the artifacts of the task.
fn check_readers(report: &TestReport, how: &str) {
    let mut followed: BTreeMap<&ArtifactId, Vec<Part>> = BTreeMap::new();
    for LogEntry { body, .. } in report.log() {
        let EntryBody::Artifact(update) = body else { continue };
        let parts = followed.entry(&update.artifact.artifact_id).or_default();
        if !update.append {
            parts.clear();
        }
        parts.extend(update.artifact.parts.iter().cloned());
    }
    let artifacts = report.artifacts().iter();
    let kept: BTreeMap<_, _> = artifacts.map(|a| (&a.artifact_id, a.parts.clone())).collect();
    assert_eq!(followed, kept, "{how}: what readers of the log have");
}
