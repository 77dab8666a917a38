//! `echo`: answers with what it was sent, in one write and without reading large parts.

use async_trait::async_trait;
use longhaul_executor::prelude::*;

/// Answers with what it was sent: as an artifact, or as a message where the agent is `direct`.
#[derive(Debug, Clone)]
pub struct Echo {
    descriptor: ExecutorDescriptor,
}

impl Echo {
    /// Under this description.
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
        let parts = ctx.message().parts.clone();
        if self.descriptor.agent.direct {
            return Ok(ctx.direct(parts));
        }
        ctx.artifact(ctx.new_artifact(parts)).await?;
        Ok(Outcome::Completed(None))
    }
}
