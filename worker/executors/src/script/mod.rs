//! `script`: does what the message asks for, for tests and conformance kits.
//!
//! What to do is a [`Plan`]: from the message's metadata under `script`, from a text that begins with `!`, or from `kits.rs`. Any other
//! text is answered with itself. A plan that makes no sense is rejected with a sentence that says why.

mod commands;
mod effects;
mod kits;
mod plan;
mod play;
mod steps;

pub use plan::{Chunks, Cursor, Ending, Hang, Kind, Plan, PlanError, Step};

use async_trait::async_trait;
use effects::Effects;
use longhaul_executor::prelude::*;
use std::path::PathBuf;

/// Where metadata holds a plan.
pub const METADATA_KEY: &str = "script";

/// The variable that names the folder for files of effects.
pub const EFFECTS_FOLDER: &str = "SCRIPT_EFFECTS_FOLDER";

/// The scripted executor.
#[derive(Debug, Clone)]
pub struct Script {
    descriptor: ExecutorDescriptor,
    /// The folder for files of effects.
    effects: Option<PathBuf>,
}

impl Script {
    /// Under this description.
    pub const fn new(descriptor: ExecutorDescriptor) -> Self {
        Self { descriptor, effects: None }
    }

    /// Lets steps add lines to files in this folder; without one such scripts are rejected.
    #[must_use]
    pub fn effects_in(mut self, folder: Option<PathBuf>) -> Self {
        self.effects = folder;
        self
    }
}

#[async_trait]
impl Executor for Script {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let said = ctx.resolve(ctx.message().clone()).await?;
        match find(&ctx, &said) {
            Ok((plan, answered)) => match Effects::of(&plan, self.effects.as_deref()) {
                Ok(effects) => play::play(&ctx, &plan, &effects, answered).await,
                Err(error) => Ok(ctx.rejected(error.to_string())),
            },
            Err(error) => Ok(ctx.rejected(error.to_string())),
        }
    }
}

/// The plan to follow, and whether the question in it has been answered.
fn find(ctx: &TaskContext, said: &Message) -> Result<(Plan, bool), PlanError> {
    let later = ctx.turn() > 1;
    if let Some(plan) = of(said)? {
        // An authorization may come without a message; then the last one is still the one with the plan.
        let answered = later && plan.end == Ending::AuthRequired;
        return Ok((plan, answered));
    }
    let earlier = ctx.history().iter().rev().filter(|item| item.message.role == Role::User);
    for item in earlier {
        if let Some(plan) = of(&item.message)? {
            return Ok((plan, later));
        }
    }
    Ok((Plan::default(), later))
}

/// The plan that a message holds, if it holds one.
fn of(message: &Message) -> Result<Option<Plan>, PlanError> {
    let metadata = message.metadata.as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
    if let Some(json) = metadata {
        return Plan::from_json(&json).map(Some);
    }
    if let Some(commands) = message.text().trim().strip_prefix('!') {
        return commands::parse(commands).map(Some);
    }
    Ok(kits::plan_for(message))
}
