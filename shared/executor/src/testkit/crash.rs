//! Crashes at every place where they can make a difference.

use super::{TestReport, TestRun, TestRunEnd};
use longhaul_domain::{Artifact, ArtifactId, EntryBody, LogEntry, Part};
use std::collections::BTreeMap;

/// Runs a task undisturbed, and then again for every write of it: once with its worker killed before that write is durable, once
/// right after, each followed by another attempt on what was durable. `task` makes the run to be disturbed, anew each time.
///
/// Panics unless each of these tasks comes to the end of the undisturbed one: state, last words, artifacts; unless
/// whoever followed the log has seen the same; and when the work of a step is begun again that was done before the crash. So it is
/// for executors that do the same in every attempt. Answers with the last reports, that of the undisturbed run first.
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
    let calm = task().await.run().await;
    assert!(
        matches!(calm.end(), TestRunEnd::Outcome(_)),
        "undisturbed it ended with {:?}",
        calm.end()
    );
    check_followers(&calm, "undisturbed");
    let mut reports = Vec::new();
    for write in 1..=calm.writes() {
        let before = task().await.crash_before_write(write).run().await;
        reports.push(recover(&calm, before, &format!("killed before write {write}")).await);
        let after = task().await.crash_after_write(write).run().await;
        reports.push(recover(&calm, after, &format!("killed after write {write}")).await);
    }
    reports.insert(0, calm);
    reports
}

/// The attempt after a crash, checked.
async fn recover(calm: &TestReport, crashed: TestReport, how: &str) -> TestReport {
    assert_eq!(crashed.end(), &TestRunEnd::Crashed, "{how}, but it does not do the same each time");
    let durable = crashed.checkpoints();
    let begun: Vec<&str> = crashed.steps_begun();
    let done: Vec<String> =
        begun.into_iter().filter(|step| durable.contains(step)).map(str::to_owned).collect();
    let report = crashed.after_worker_loss().run().await;
    for step in &done {
        assert!(!report.steps_begun().contains(&step.as_str()), "{how}: {step} is done again");
    }
    assert_eq!(words(&report), words(calm), "{how}: the end");
    assert_eq!(by_id(report.artifacts()), by_id(calm.artifacts()), "{how}: the artifacts");
    check_followers(&report, how);
    report
}

/// How it ended, without ids, which may differ.
fn words(report: &TestReport) -> (String, Vec<Part>) {
    let TestRunEnd::Outcome(outcome) = report.end() else {
        return (format!("{:?}", report.end()), Vec::new());
    };
    let parts = outcome.message().map(|message| message.parts.clone()).unwrap_or_default();
    (format!("{:?}", report.state()), parts)
}

fn by_id(artifacts: &[Artifact]) -> BTreeMap<&str, &Artifact> {
    artifacts.iter().map(|artifact| (artifact.artifact_id.as_str(), artifact)).collect()
}

/// Whoever has put the chunks together has the artifacts of the task.
fn check_followers(report: &TestReport, how: &str) {
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
