//! External effects that tests count: lines in a file.
//!
//! A line is written before its step is committed, so a crash in between writes it twice.

use crate::{error::PlanError, plan::Plan};
use longhaul_executor::prelude::*;
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// The variable that names the folder for effect logs.
pub const EFFECTS_FOLDER_VARIABLE: &str = "SCRIPT_EFFECTS_FOLDER";

/// The file of external effects, if the plan has one.
pub(crate) struct EffectLog(Option<PathBuf>);

impl EffectLog {
    /// The effect log of a plan. The client names a file, never a folder: that is up to the worker.
    pub fn from_plan(plan: &Plan, folder: Option<&Path>) -> Result<Self, PlanError> {
        let Some(name) = &plan.effects else { return Ok(Self(None)) };
        let wrong = |problem: &str| PlanError::Arguments {
            command: "effects".to_owned(),
            problem: problem.to_owned(),
        };
        let folder = folder.ok_or_else(|| {
            wrong(&format!("needs {EFFECTS_FOLDER_VARIABLE} in the environment of the worker"))
        })?;
        let mut components = Path::new(name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(file)), None) => Ok(Self(Some(folder.join(file)))),
            _ => Err(wrong("takes the name of a file, without a folder")),
        }
    }

    /// Appends a line: task, turn, attempt, and the effect.
    pub async fn add(&self, ctx: &TaskContext, what: &str) -> Result<(), std::io::Error> {
        let Some(path) = &self.0 else { return Ok(()) };
        let line = format!("{} {} {} {what}\n", ctx.task_id(), ctx.turn(), ctx.attempt());
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
        // One write, so that lines of several workers do not mix.
        file.write_all(line.as_bytes()).await?;
        file.flush().await
    }
}
