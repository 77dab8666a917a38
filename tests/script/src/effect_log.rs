//! Effects outside of the record, to be counted by tests: lines in a file. A line is written before the step that it belongs to
//! is kept; so after a crash in between there are two.

use crate::{error::PlanError, plan::Plan};
use longhaul_executor::prelude::*;
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// The variable that names the folder for effect logs.
pub const EFFECTS_FOLDER_VARIABLE: &str = "SCRIPT_EFFECTS_FOLDER";

/// Where effects are written, if they are.
pub(crate) struct EffectLog(Option<PathBuf>);

impl EffectLog {
    /// What a plan asks for, as far as the worker allows it: the client names a file, never a place.
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

    /// Adds a line: task, turn, attempt, and what was done.
    pub async fn add(&self, ctx: &TaskContext, what: &str) -> Result<(), std::io::Error> {
        let Some(path) = &self.0 else { return Ok(()) };
        let line = format!("{} {} {} {what}\n", ctx.task_id(), ctx.turn(), ctx.attempt());
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
        // In one piece, so that lines of several workers do not mix.
        file.write_all(line.as_bytes()).await?;
        file.flush().await
    }
}
