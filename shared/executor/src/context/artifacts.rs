//! Which artifacts may be written from where, so that a later attempt neither loses nor doubles output.
//!
//! A later attempt skips completed steps and repeats everything outside of them. Outside, an artifact is begun anew and so
//! replaced; what a step wrote to it would be lost with that. And what is appended outside to what a step wrote would be
//! appended again. So an artifact is written either by steps, which may go on with each other's, or outside.

use super::TaskContext;
use crate::InvalidOutput;
use longhaul_domain::ArtifactId;
use std::{
    collections::HashSet,
    sync::{MutexGuard, PoisonError},
};

/// Artifacts that this attempt has begun or continues.
#[derive(Default)]
pub(super) struct Written {
    outside: HashSet<ArtifactId>,
    /// By steps that are done.
    in_steps: HashSet<ArtifactId>,
}

impl TaskContext {
    /// Refuses a chunk that may not be written from here.
    pub(super) fn may_write(&self, id: &ArtifactId, append: bool) -> Result<(), InvalidOutput> {
        if append || self.scope.is_some() {
            self.may_continue(id)?;
        }
        let begun = match &self.scope {
            Some(scope) => scope.held().written.contains(id),
            None => self.written().outside.contains(id),
        };
        if append && !begun {
            return Err(InvalidOutput::NotBegun(id.clone()));
        }
        match self.surrounding_step() {
            Some(step) if self.scope.is_none() => {
                Err(InvalidOutput::OutsideStepContext { artifact: id.clone(), step })
            }
            _ => Ok(()),
        }
    }

    /// Refuses an artifact that belongs to the other side.
    pub(super) fn may_continue(&self, id: &ArtifactId) -> Result<(), InvalidOutput> {
        let written = self.written();
        match &self.scope {
            Some(scope) if written.outside.contains(id) => Err(InvalidOutput::BegunOutsideStep {
                artifact: id.clone(),
                step: scope.name.clone(),
            }),
            None if written.in_steps.contains(id) && !written.outside.contains(id) => {
                Err(InvalidOutput::WrittenBySteps(id.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether an artifact is known to exist without a look into the record.
    pub(super) fn knows(&self, id: &ArtifactId) -> bool {
        let written = self.written();
        match &self.scope {
            Some(scope) => written.in_steps.contains(id) || scope.held().written.contains(id),
            None => written.outside.contains(id),
        }
    }

    /// From now on it belongs to this side.
    pub(super) fn note_written(&self, id: &ArtifactId) {
        let id = id.clone();
        match &self.scope {
            Some(scope) => scope.held().written.insert(id),
            None => self.written().outside.insert(id),
        };
    }

    /// Refuses a step that wrote to what was begun outside meanwhile.
    pub(super) fn may_commit(&self, written: &HashSet<ArtifactId>) -> Result<(), InvalidOutput> {
        written.iter().try_for_each(|id| self.may_continue(id))
    }

    /// A step that wrote these artifacts is done.
    pub(super) fn committed(&self, written: HashSet<ArtifactId>) {
        self.written().in_steps.extend(written);
    }

    /// Whether this attempt has written any artifact.
    pub(super) fn has_written(&self) -> bool {
        let written = self.written();
        !(written.outside.is_empty() && written.in_steps.is_empty())
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.run.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
