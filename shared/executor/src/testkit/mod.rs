//! Runs an executor without a server, and checks its output on the way.
//!
//! The kit keeps the log of one task in memory and hands the executor a real
//! [`TaskContext`](crate::TaskContext). It checks that a server would accept the output: every
//! status is `working`, every artifact begins with a chunk that is not appended, every text can be
//! stored. A violation panics with the reason. [`crash_everywhere`] kills the worker at every
//! write.
//!
//! Nothing here is durable. Time stands still, and ids count up.
//!
//! ```
//! # use longhaul_executor::{prelude::*, testkit::TestRun};
//! # struct Echo;
//! # #[async_trait::async_trait]
//! # impl Executor for Echo {
//! #     fn descriptor(&self) -> ExecutorDescriptor { ExecutorDescriptor::text("echo", "1", "").unwrap() }
//! #     async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
//! #         ctx.artifact(ctx.new_artifact(ctx.message().parts.clone())).await?;
//! #         Ok(Outcome::Completed(None))
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let report = TestRun::new(Echo).text("hi").run().await;
//! assert_eq!(report.outcome(), &Outcome::Completed(None));
//! assert_eq!(report.artifact_text("artifact-1"), "hi");
//! # }
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "a test kit panics where a promise is broken, and its documentation says so"
)]

mod crash;
mod io;
mod record;
mod report;
mod run;

pub use crash::crash_everywhere;
pub use report::{TestReport, TestRunEnd};
pub use run::TestRun;

use crate::{Executor, ExecutorDescriptor, ExecutorError, Outcome, TaskContext};
use async_trait::async_trait;

/// Makes an executor from a function.
///
/// ```
/// # use longhaul_executor::{prelude::*, testkit::{TestRun, executor_fn}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let greeter = executor_fn(|ctx| async move { Ok(ctx.completed("hello")) });
/// assert_eq!(TestRun::new(greeter).text("hi").run().await.status_text(), "hello");
/// # }
/// ```
pub fn executor_fn<F, Fut>(execute: F) -> impl Executor
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send,
{
    FnExecutor(execute)
}

struct FnExecutor<F>(F);

#[async_trait]
impl<F, Fut> Executor for FnExecutor<F>
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, ExecutorError>> + Send,
{
    fn descriptor(&self) -> ExecutorDescriptor {
        ExecutorDescriptor::text("function", "1.0.0", "A function").expect("a valid name")
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        (self.0)(ctx).await
    }
}
