//! `script`: does what the message asks for, for tests and conformance kits.
//!
//! What to do is a [`Plan`]: from the message's metadata under `script`, from a text that begins with `!`, or from [`Kits`], when the
//! message is one of a conformance kit's. Any other message is answered with itself, unless there is a plan for those too. A plan that
//! makes no sense is rejected with a sentence that says why.
//!
//! What is to be done depends on the messages of the task alone, so a run after a crash does the same as the one that was lost.

mod commands;
mod effects;
mod kits;
mod plan;
mod play;
mod steps;

pub use kits::{Kits, STREAM_TIMEOUT};
pub use plan::{Chunks, Cursor, Ending, Hang, Kind, Output, Plan, PlanError, Step};

use async_trait::async_trait;
use effects::Effects;
use longhaul_executor::prelude::*;
use std::path::PathBuf;

/// Where metadata holds a plan.
pub const METADATA_KEY: &str = "script";

/// The variable that names the folder for files of effects.
pub const EFFECTS_FOLDER: &str = "SCRIPT_EFFECTS_FOLDER";

/// The variable that holds commands for messages that hold no plan, such as `wait 3000; ask`.
pub const OTHERWISE: &str = "SCRIPT_OTHERWISE";

/// The scripted executor.
#[derive(Debug, Clone)]
pub struct Script {
    descriptor: ExecutorDescriptor,
    /// The folder for files of effects.
    effects: Option<PathBuf>,
    /// How kits are run.
    kits: Kits,
    /// What to do on messages without a plan.
    otherwise: Option<Plan>,
}

impl Script {
    /// Under this description.
    pub fn new(descriptor: ExecutorDescriptor) -> Self {
        Self { descriptor, effects: None, kits: Kits::default(), otherwise: None }
    }

    /// Lets steps add lines to files in this folder; without one such scripts are rejected.
    #[must_use]
    pub fn effects_in(mut self, folder: Option<PathBuf>) -> Self {
        self.effects = folder;
        self
    }

    /// With other times for kits.
    #[must_use]
    pub const fn kits(mut self, kits: Kits) -> Self {
        self.kits = kits;
        self
    }

    /// Follows these commands on every message of a task without a plan, instead of answering with the message.
    ///
    /// # Errors
    /// Commands that make no sense.
    pub fn otherwise(mut self, commands: &str) -> Result<Self, PlanError> {
        self.otherwise = Some(commands::parse(commands)?);
        Ok(self)
    }

    /// The plan to follow, and whether the question in it has been answered.
    fn find(&self, ctx: &TaskContext, said: &Message) -> Result<(Plan, bool), PlanError> {
        let later = ctx.turn() > 1;
        if let Some(plan) = self.of(said)? {
            // An authorization may come without a message; then the last one is still the one with the plan.
            let answered = later && plan.end == Ending::AuthRequired;
            return Ok((plan, answered));
        }
        let earlier = ctx.history().iter().rev().filter(|item| item.message.role == Role::User);
        for item in earlier {
            if let Some(plan) = self.of(&item.message)? {
                return Ok((plan, later));
            }
        }
        Ok(self.otherwise.clone().map_or_else(|| (Plan::default(), later), |plan| (plan, false)))
    }

    /// The plan that a message holds, if it holds one.
    fn of(&self, message: &Message) -> Result<Option<Plan>, PlanError> {
        let metadata = message.metadata.as_ref().and_then(|metadata| metadata.get(METADATA_KEY));
        if let Some(json) = metadata {
            return Plan::from_json(&json).map(Some);
        }
        if let Some(commands) = message.text().trim().strip_prefix('!') {
            return commands::parse(commands).map(Some);
        }
        Ok(self.kits.plan_for(message))
    }
}

#[async_trait]
impl Executor for Script {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let said = ctx.resolve(ctx.message().clone()).await?;
        match self.find(&ctx, &said) {
            Ok((plan, answered)) => match Effects::of(&plan, self.effects.as_deref()) {
                Ok(effects) => play::play(&ctx, &plan, &effects, answered).await,
                Err(error) => Ok(ctx.rejected(error.to_string())),
            },
            Err(error) => Ok(ctx.rejected(error.to_string())),
        }
    }
}
