//! Executors made of functions, and what is asked of their reports.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use async_trait::async_trait;
use longhaul_executor::{
    prelude::*,
    testkit::{TestReport, TestRunEnd},
};
use std::pin::Pin;

pub type Answer = Pin<Box<dyn Future<Output = Result<Outcome, ExecutorError>> + Send>>;

/// An executor made of a function.
pub struct By(pub fn(TaskContext) -> Answer);

#[async_trait]
impl Executor for By {
    fn descriptor(&self) -> ExecutorDescriptor {
        ExecutorDescriptor::text("by", "1.0.0", "A function").expect("a valid name")
    }
    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.0)(ctx).await
    }
}

/// An executor made of a closure, which can share something with its test.
pub struct With<F>(pub F);

#[async_trait]
impl<F, Fut> Executor for With<F>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send,
{
    fn descriptor(&self) -> ExecutorDescriptor {
        ExecutorDescriptor::text("with", "1.0.0", "A closure").expect("a valid name")
    }
    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.0)(ctx).await
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands at the end of fallible functions")]
pub fn done() -> Result<Outcome, ExecutorError> {
    Ok(Outcome::Completed(None))
}

/// Whether a run failed with these words, and not to be tried again.
pub fn failed_for_good(report: &TestReport, words: &str) -> bool {
    let TestRunEnd::Outcome(Outcome::Failed(failure)) = report.end() else { return false };
    !failure.retryable && failure.cause.contains(words)
}

/// The artifacts of the task, in their order.
pub fn artifact_ids(report: &TestReport) -> Vec<&str> {
    report.artifacts().iter().map(|artifact| artifact.artifact_id.as_str()).collect()
}
