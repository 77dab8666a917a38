//! Names of steps and checkpoints, which are unique within an attempt. Work found under the name of
//! other work would be skipped for good.

use super::TaskContext;
use crate::StepError;
use longhaul_domain::{CheckpointName, Json};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{MutexGuard, PoisonError},
};

pub(super) type UsedNames = HashMap<CheckpointName, NameUse>;

/// The use of a name in this attempt.
pub(super) enum NameUse {
    /// A step that an earlier attempt has done.
    Skipped,
    /// A step whose work this attempt has begun.
    Begun,
    /// A checkpoint, with its current value.
    Checkpoint(Option<Json>),
}

impl TaskContext {
    /// Claims the name of a step.
    pub(super) fn claim_step_name(&self, name: &CheckpointName) -> Result<(), StepError> {
        if is_reserved(name.as_str()) {
            return Err(StepError::ReservedName(name.clone()));
        }
        match self.used_names().entry(name.clone()) {
            Entry::Occupied(_) => Err(StepError::DuplicateName(name.clone())),
            Entry::Vacant(free) => {
                // Until the read shows that the work has to be done.
                free.insert(NameUse::Skipped);
                Ok(())
            }
        }
    }

    /// Claims the name of a checkpoint. A checkpoint may be moved, so its own name is free.
    pub(super) fn claim_checkpoint_name(&self, name: &CheckpointName) -> Result<(), StepError> {
        // A failed commit keeps the claim: the name still means this checkpoint.
        match self.used_names().entry(name.clone()).or_insert(NameUse::Checkpoint(None)) {
            NameUse::Checkpoint(_) => Ok(()),
            NameUse::Skipped | NameUse::Begun => Err(StepError::DuplicateName(name.clone())),
        }
    }

    /// Records the use of a name.
    pub(super) fn note_name_use(&self, name: &CheckpointName, used: NameUse) {
        self.used_names().insert(name.clone(), used);
    }

    /// The value that this attempt has given a checkpoint, if it has.
    pub(super) fn checkpoint_set_here(&self, name: &CheckpointName) -> Option<Json> {
        match self.used_names().get(name)? {
            NameUse::Checkpoint(value) => value.clone(),
            NameUse::Skipped | NameUse::Begun => None,
        }
    }

    /// Returns true when this attempt has begun a step of this name.
    pub(super) fn has_begun_step(&self, name: &CheckpointName) -> bool {
        matches!(self.used_names().get(name), Some(NameUse::Begun))
    }

    /// The steps whose work this attempt has begun, sorted by name.
    #[cfg(feature = "testkit")]
    pub(crate) fn steps_begun(&self) -> Vec<CheckpointName> {
        let names = self.used_names();
        let begun = names.iter().filter(|(_, used)| matches!(used, NameUse::Begun));
        let mut begun: Vec<_> = begun.map(|(name, _)| name.clone()).collect();
        begun.sort();
        begun
    }

    fn used_names(&self) -> MutexGuard<'_, UsedNames> {
        self.run.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true when default ids of artifacts in a step of this name could equal ids outside of
/// steps (`artifact-1`, `artifact-2-1`).
fn is_reserved(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("artifact") else { return false };
    let digits = |turn: &str| turn.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || rest.strip_prefix('-').is_some_and(digits)
}
