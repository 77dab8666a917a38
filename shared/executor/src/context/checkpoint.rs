//! Checkpoints that an executor sets and moves by itself, such as a cursor into what it works through.

use super::{TaskContext, names::Used, step::decode};
use crate::{ContextError, StepError};
use longhaul_domain::{Checkpoint, CheckpointError, CheckpointName, Json};
use serde::{Serialize, de::DeserializeOwned};

impl TaskContext {
    /// Keeps a value under a name, together with everything said before: when this has returned, both survive any crash. Called
    /// again with the name it moves the checkpoint on. The name must not be that of a step; the value is kept as JSON, at
    /// most 1 MiB. It belongs to the task, also in later turns.
    pub async fn checkpoint<T: Serialize + ?Sized>(
        &self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<(), ContextError> {
        let name = checked(name)?;
        if let Some(step) = self.surrounding_step() {
            return Err(StepError::ForbiddenInStep { what: "a checkpoint", step }.into());
        }
        let value = encode(&name, value)?;
        let checkpoint = Checkpoint::new(name.as_str(), value.clone()).map_err(StepError::from)?;
        self.take_checkpoint_name(&name)?;
        self.run.io.commit(Vec::new(), checkpoint).await?;
        self.note_used(&name, Used::Checkpoint(Some(value)));
        Ok(())
    }

    /// What this attempt or an earlier one, of this turn or an earlier, has kept under a name. Fails for good when it does not
    /// fit the type.
    pub async fn load_checkpoint<T: DeserializeOwned>(
        &self,
        name: impl Into<String>,
    ) -> Result<Option<T>, ContextError> {
        let name = checked(name)?;
        let value = match self.set_here(&name) {
            Some(value) => Some(value),
            None => self.stored(&name).await?,
        };
        Ok(value.map(|value| decode(&name, &value)).transpose()?)
    }

    /// Says that the run is getting on although it has nothing to say: the time limit for attempts without progress begins anew.
    /// Output, steps and checkpoints count as well. Costs nothing; call it as often as there is progress.
    pub fn heartbeat(&self) {
        self.run.io.progress();
    }

    /// What is in the store under a name. Asks it only where there can be something.
    pub(super) async fn stored(&self, name: &CheckpointName) -> Result<Option<Json>, ContextError> {
        if !self.assignment().has_checkpoints && !self.begun_here(name) {
            return Ok(None);
        }
        Ok(self.run.io.read_checkpoint(name).await?)
    }
}

/// A name that can be one.
pub(super) fn checked(name: impl Into<String>) -> Result<CheckpointName, StepError> {
    CheckpointName::new(name).map_err(|error| CheckpointError::Name(error).into())
}

/// A value as it is kept.
pub(super) fn encode<T: Serialize + ?Sized>(
    name: &CheckpointName,
    value: &T,
) -> Result<Json, StepError> {
    Json::from_serialize(&value)
        .map_err(|error| StepError::Value { name: name.clone(), problem: error.to_string() })
}
