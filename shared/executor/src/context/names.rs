//! The names that an attempt has used for steps and checkpoints. Each means one thing: work that is found under the name of
//! other work would be skipped for good.

use super::TaskContext;
use crate::StepError;
use longhaul_domain::{CheckpointName, Json};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{MutexGuard, PoisonError},
};

pub(super) type Names = HashMap<CheckpointName, Used>;

/// What a name was used for.
pub(super) enum Used {
    /// A step that was done already.
    Skipped,
    /// A step whose work was begun.
    Begun,
    /// A checkpoint, with the value that it has.
    Checkpoint(Option<Json>),
}

impl TaskContext {
    /// Takes the name of a step.
    pub(super) fn take_step_name(&self, name: &CheckpointName) -> Result<(), StepError> {
        if reserved(name.as_str()) {
            return Err(StepError::ReservedName(name.clone()));
        }
        match self.names().entry(name.clone()) {
            Entry::Occupied(_) => Err(StepError::DuplicateName(name.clone())),
            Entry::Vacant(free) => {
                free.insert(Used::Skipped);
                Ok(())
            }
        }
    }

    /// Takes the name of a checkpoint, which may be its own.
    pub(super) fn take_checkpoint_name(&self, name: &CheckpointName) -> Result<(), StepError> {
        match self.names().entry(name.clone()).or_insert(Used::Checkpoint(None)) {
            Used::Checkpoint(_) => Ok(()),
            Used::Skipped | Used::Begun => Err(StepError::DuplicateName(name.clone())),
        }
    }

    /// Notes what has become of a name.
    pub(super) fn note_used(&self, name: &CheckpointName, used: Used) {
        self.names().insert(name.clone(), used);
    }

    /// The value that this attempt has given a checkpoint; none when it has not.
    pub(super) fn set_here(&self, name: &CheckpointName) -> Option<Json> {
        match self.names().get(name)? {
            Used::Checkpoint(value) => value.clone(),
            Used::Skipped | Used::Begun => None,
        }
    }

    /// Whether this attempt has begun a step of this name.
    pub(super) fn begun_here(&self, name: &CheckpointName) -> bool {
        matches!(self.names().get(name), Some(Used::Begun))
    }

    /// The steps whose work this attempt has begun, in the order of their names.
    #[cfg(feature = "testkit")]
    pub(crate) fn steps_begun(&self) -> Vec<CheckpointName> {
        let names = self.names();
        let ran = names.iter().filter(|(_, used)| matches!(used, Used::Begun));
        let mut ran: Vec<_> = ran.map(|(name, _)| name.clone()).collect();
        ran.sort();
        ran
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.run.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether default ids of artifacts in a step of this name could be those of artifacts outside (`artifact-1`, `artifact-2-1`).
fn reserved(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("artifact") else { return false };
    let digits = |turn: &str| turn.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || rest.strip_prefix('-').is_some_and(digits)
}
