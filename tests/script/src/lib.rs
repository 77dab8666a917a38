//! `script`: an executor that does what a message asks for, for tests, conformance kits and the
//! benchmark.
//!
//! A message holds a [`Plan`]: in its metadata under `script`, or in a text that begins with `!`.
//! Messages of a conformance kit get the plan that the kit expects ([`KitSettings`]). Any other
//! message is echoed, unless there is a fallback plan. A plan that makes no sense is rejected with
//! a sentence that says why.
//!
//! A plan depends on the messages of the task alone, so a run after a crash does the same as the
//! one that was lost.

mod commands;
mod effect_log;
mod error;
mod kits;
mod plan;
mod play;

pub use effect_log::EFFECTS_FOLDER_VARIABLE;
pub use error::PlanError;
pub use kits::{KitSettings, STREAM_TIMEOUT_VARIABLE};
pub use plan::{
    ChunkPlan, ContentKind, CursorPlan, HangMode, Plan, PlanEnding, PlannedArtifact, StepPlan,
};

use async_trait::async_trait;
use effect_log::EffectLog;
use longhaul_executor::prelude::*;
use std::path::PathBuf;

/// The key of a message's metadata that holds a plan.
pub const PLAN_METADATA_KEY: &str = "script";

/// The variable that holds commands for messages without a plan, such as `wait 3000; ask`.
pub const FALLBACK_VARIABLE: &str = "SCRIPT_OTHERWISE";

/// Makes a scripted executor as the environment of the process describes it.
///
/// # Errors
/// Fallback commands that make no sense.
pub fn from_env(descriptor: ExecutorDescriptor) -> Result<ScriptExecutor, FallbackError> {
    let effects = std::env::var_os(EFFECTS_FOLDER_VARIABLE).map(Into::into);
    let timeout = std::env::var(STREAM_TIMEOUT_VARIABLE).ok();
    let kits = KitSettings::with_stream_timeout(timeout.as_deref());
    let script = ScriptExecutor::new(descriptor).effects_in(effects).kits(kits);
    match std::env::var(FALLBACK_VARIABLE) {
        Ok(commands) if !commands.trim().is_empty() => {
            script.fallback(&commands).map_err(FallbackError)
        }
        _ => Ok(script),
    }
}

/// Fallback commands in the environment that make no sense.
#[derive(Debug, thiserror::Error)]
#[error("{FALLBACK_VARIABLE} in the environment: {0}")]
pub struct FallbackError(PlanError);

/// The scripted executor.
#[derive(Debug, Clone)]
pub struct ScriptExecutor {
    descriptor: ExecutorDescriptor,
    effects_folder: Option<PathBuf>,
    kits: KitSettings,
    fallback: Option<Plan>,
}

impl ScriptExecutor {
    /// A scripted executor under this description.
    pub fn new(descriptor: ExecutorDescriptor) -> Self {
        Self { descriptor, effects_folder: None, kits: KitSettings::default(), fallback: None }
    }

    /// Lets steps add lines to files in this folder. Without a folder, scripts with effects are
    /// rejected.
    #[must_use]
    pub fn effects_in(mut self, folder: Option<PathBuf>) -> Self {
        self.effects_folder = folder;
        self
    }

    /// Sets the times that conformance kits are run with.
    #[must_use]
    pub const fn kits(mut self, kits: KitSettings) -> Self {
        self.kits = kits;
        self
    }

    /// Follows these commands on every message of a task without a plan, instead of echoing the
    /// message.
    ///
    /// # Errors
    /// Commands that make no sense.
    pub fn fallback(mut self, commands: &str) -> Result<Self, PlanError> {
        self.fallback = Some(commands::parse(commands)?);
        Ok(self)
    }

    /// Finds the plan to follow, and tells whether the question in it has been answered.
    fn find_plan(&self, ctx: &TaskContext, message: &Message) -> Result<(Plan, bool), PlanError> {
        let later = ctx.turn() > 1;
        if let Some(plan) = self.plan_in(message)? {
            // An authorization may come without a message; then the last one is still the one with
            // the plan.
            let answered = later && plan.end == PlanEnding::AuthRequired;
            return Ok((plan, answered));
        }
        let earlier = ctx.history().iter().rev().filter(|item| item.message.role == Role::User);
        for item in earlier {
            if let Some(plan) = self.plan_in(&item.message)? {
                return Ok((plan, later));
            }
        }
        Ok(self.fallback.clone().map_or_else(|| (Plan::default(), later), |plan| (plan, false)))
    }

    /// The plan in a message, if it holds one.
    fn plan_in(&self, message: &Message) -> Result<Option<Plan>, PlanError> {
        let metadata =
            message.metadata.as_ref().and_then(|metadata| metadata.get(PLAN_METADATA_KEY));
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
impl Executor for ScriptExecutor {
    fn descriptor(&self) -> ExecutorDescriptor {
        self.descriptor.clone()
    }

    async fn execute(&self, ctx: TaskContext) -> Result<Outcome, ExecutorError> {
        let message = ctx.resolve(ctx.message().clone()).await?;
        match self.find_plan(&ctx, &message) {
            Ok((plan, answered)) => {
                match EffectLog::from_plan(&plan, self.effects_folder.as_deref()) {
                    Ok(effects) => play::play(&ctx, &plan, &effects, answered).await,
                    Err(error) => Ok(ctx.rejected(error.to_string())),
                }
            }
            Err(error) => Ok(ctx.rejected(error.to_string())),
        }
    }
}
