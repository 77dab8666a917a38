//! A worker with an executor of its own: `cargo run -p longhaul-cli --example custom_worker --
//! --help`.

use async_trait::async_trait;
use longhaul_executor::prelude::*;
use std::{process::ExitCode, sync::Arc};

/// Says it louder.
struct Shout;

#[async_trait]
impl Executor for Shout {
    fn descriptor(&self) -> ExecutorDescriptor {
        ExecutorDescriptor::text("shout", "1.0.0", "Says it louder").expect("a valid agent name")
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let said = ctx.resolve(ctx.message().clone()).await?;
        let loud = said.text().to_uppercase();
        ctx.artifact(ctx.new_artifact(vec![Part::text(loud)])).await?;
        Ok(Outcome::Completed(None))
    }
}

fn main() -> ExitCode {
    longhaul_cli::worker_main([Arc::new(Shout) as Arc<dyn Executor>])
}
