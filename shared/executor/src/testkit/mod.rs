//! Runs an executor without a server, and checks what it does on the way.
//!
//! The kit keeps the log of one task in memory, hands the executor a real [`TaskContext`](crate::TaskContext), and checks that what
//! comes out would be accepted: every status is `working`, every artifact begins with a chunk that is not appended, every text
//! can be stored. [`crash_everywhere`] kills its worker at every write. A breach panics, with the reason. Nothing here is durable; time stands still and ids count up.
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
    reason = "a test kit panics where a promise is broken, and says so above"
)]

mod crash;
mod io;
mod record;
mod report;
mod run;

pub use crash::crash_everywhere;
pub use report::{TestReport, TestRunEnd};
pub use run::TestRun;
