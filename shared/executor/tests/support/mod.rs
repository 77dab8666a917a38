//! Executors made from functions, and checks of their reports.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use async_trait::async_trait;
use longhaul_executor::{
    prelude::*,
    testkit::{TestReport, TestRunEnd},
};
use std::pin::Pin;

pub type BoxedRun = Pin<Box<dyn Future<Output = Result<Outcome, ExecutorError>> + Send>>;

/// An executor made from a function pointer, so that arrays of them have one type.
pub struct FnExecutor(pub fn(TaskContext) -> BoxedRun);

#[async_trait]
impl Executor for FnExecutor {
    fn descriptor(&self) -> ExecutorDescriptor {
        ExecutorDescriptor::text("function", "1.0.0", "A function").expect("a valid name")
    }
    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.0)(ctx).await
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the last expression of fallible functions")]
pub fn done() -> Result<Outcome, ExecutorError> {
    Ok(Outcome::Completed(None))
}

/// Returns true when a run failed without a retry, and its cause holds these words.
pub fn failed_fatally(report: &TestReport, words: &str) -> bool {
    let TestRunEnd::Outcome(Outcome::Failed(failure)) = report.end() else { return false };
    !failure.retryable && failure.cause.contains(words)
}

/// The artifacts of the task, in their order.
pub fn artifact_ids(report: &TestReport) -> Vec<&str> {
    report.artifacts().iter().map(|artifact| artifact.artifact_id.as_str()).collect()
}
