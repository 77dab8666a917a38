//! `echo`: answers with the message that it was sent, in one write and without reading large parts.

use async_trait::async_trait;
use longhaul_executor::prelude::*;

/// Answers with the parts of the message: as an artifact, or as a message where the agent is
/// `direct`.
#[derive(Debug, Clone)]
pub struct Echo {
    descriptor: ExecutorDescriptor,
}

impl Echo {
    /// An echo under this description.
    pub const fn new(descriptor: ExecutorDescriptor) -> Self {
        Self { descriptor }
    }
}

#[async_trait]
impl Executor for Echo {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        // Not resolved: references to large parts are sent back as they are.
        let parts = ctx.message().parts.clone();
        if self.descriptor.agent.direct {
            return Ok(ctx.direct(parts));
        }
        ctx.artifact(ctx.new_artifact(parts)).await?;
        Ok(Outcome::Completed(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_executor::testkit::TestRun;

    fn descriptor() -> ExecutorDescriptor {
        ExecutorDescriptor::text("echo", "1.0.0", "Under test").expect("a valid name")
    }

    #[tokio::test]
    async fn it_answers_with_one_artifact_and_no_status() {
        let report = TestRun::new(Echo::new(descriptor())).text("hi").run().await;
        assert_eq!(report.outcome(), &Outcome::Completed(None));
        assert_eq!(report.artifact_text("artifact-1"), "hi");
        assert!(report.statuses().is_empty());
        assert_eq!(report.chunks().len(), 1);
    }

    #[tokio::test]
    async fn a_direct_echo_answers_with_a_message() {
        let mut descriptor = descriptor();
        descriptor.agent.direct = true;
        let report = TestRun::new(Echo::new(descriptor)).text("hi").run().await;
        assert!(matches!(report.outcome(), Outcome::Direct(message) if message.text() == "hi"));
    }
}
