//! Rules about which code may write an artifact, so that a later attempt neither loses nor
//! duplicates output.
//!
//! A later attempt skips completed steps and repeats everything outside of them. Code outside
//! begins an artifact anew and so replaces it, which would lose the chunks of a step. Code outside
//! that appends to a step's artifact would append again. So an artifact is written either by steps,
//! which may continue each other's artifacts, or by code outside of steps.

use super::TaskContext;
use crate::InvalidOutput;
use longhaul_domain::ArtifactId;
use std::{
    collections::HashSet,
    sync::{MutexGuard, PoisonError},
};

/// The artifacts that this attempt has begun or continues.
#[derive(Default)]
pub(super) struct WrittenArtifacts {
    outside: HashSet<ArtifactId>,
    /// Artifacts of completed steps.
    in_steps: HashSet<ArtifactId>,
}

impl TaskContext {
    /// Rejects a chunk that may not be written from here.
    pub(super) fn check_chunk(&self, id: &ArtifactId, append: bool) -> Result<(), InvalidOutput> {
        // A whole artifact outside of steps may replace one that steps wrote; a step never replaces one
        // begun outside, as the next attempt would begin that one anew.
        if append || self.scope.is_some() {
            self.check_side(id)?;
        }
        let begun = match &self.scope {
            Some(scope) => scope.pending().written.contains(id),
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

    /// Rejects an artifact that belongs to the other side: steps, or the code outside of them.
    pub(super) fn check_side(&self, id: &ArtifactId) -> Result<(), InvalidOutput> {
        let written = self.written();
        match &self.scope {
            Some(scope) if written.outside.contains(id) => Err(InvalidOutput::BegunOutsideStep {
                artifact: id.clone(),
                step: scope.name.clone(),
            }),
            // Begun outside after a step wrote it: from then on it belongs to the code outside.
            None if written.in_steps.contains(id) && !written.outside.contains(id) => {
                Err(InvalidOutput::WrittenBySteps(id.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Returns true when the artifact exists for sure, without reading the record.
    pub(super) fn is_known_artifact(&self, id: &ArtifactId) -> bool {
        let written = self.written();
        match &self.scope {
            // A step continues its own artifacts and those of completed steps.
            Some(scope) => written.in_steps.contains(id) || scope.pending().written.contains(id),
            None => written.outside.contains(id),
        }
    }

    /// Assigns an artifact to this side.
    pub(super) fn note_written(&self, id: &ArtifactId) {
        let id = id.clone();
        match &self.scope {
            Some(scope) => scope.pending().written.insert(id),
            None => self.written().outside.insert(id),
        };
    }

    /// Rejects the commit of a step whose artifacts were begun outside meanwhile.
    pub(super) fn check_commit(&self, written: &HashSet<ArtifactId>) -> Result<(), InvalidOutput> {
        written.iter().try_for_each(|id| self.check_side(id))
    }

    /// Notes the artifacts of a committed step.
    pub(super) fn note_committed(&self, written: HashSet<ArtifactId>) {
        self.written().in_steps.extend(written);
    }

    /// Returns true when this attempt has written any artifact.
    pub(super) fn has_written(&self) -> bool {
        let written = self.written();
        !(written.outside.is_empty() && written.in_steps.is_empty())
    }

    fn written(&self) -> MutexGuard<'_, WrittenArtifacts> {
        self.run.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
