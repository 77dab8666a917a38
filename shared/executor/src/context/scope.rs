//! What a step says while it is under way. None of it leaves memory before the step is committed; dropping it drops all.

use crate::StepError;
use longhaul_domain::{ArtifactId, CheckpointName, EntryBody};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
};

/// A step that is under way.
pub(super) struct Scope {
    pub name: CheckpointName,
    /// How many artifacts got a default id.
    pub named: AtomicU32,
    held: Mutex<Held>,
}

/// What it has said so far.
#[derive(Default)]
pub(super) struct Held {
    pub output: Vec<EntryBody>,
    bytes: usize,
    /// Artifacts that the step has begun or continues.
    pub written: HashSet<ArtifactId>,
    over: bool,
}

impl Scope {
    pub fn new(name: CheckpointName) -> Self {
        Self { name, named: AtomicU32::new(0), held: Mutex::default() }
    }

    /// Keeps output for the end of the step.
    pub fn hold(&self, body: EntryBody) -> Result<(), StepError> {
        let bytes = body.stored_len();
        let mut held = self.held();
        if held.over {
            return Err(StepError::Ended { step: self.name.clone() });
        }
        let full = held.output.len() >= StepError::MAX_STEP_ENTRIES
            || held.bytes.saturating_add(bytes) > StepError::MAX_STEP_BYTES;
        if full {
            return Err(StepError::TooMuchOutput { step: self.name.clone() });
        }
        held.bytes += bytes;
        held.output.push(body);
        Ok(())
    }

    /// Ends the step: nothing is taken in from now on. What there is, if it had not ended before.
    pub fn close(&self) -> Held {
        std::mem::replace(&mut *self.held(), Held { over: true, ..Held::default() })
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
