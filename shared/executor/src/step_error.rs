//! Errors of steps and checkpoints. The next attempt would run into the same error, so they are not
//! retried.

use longhaul_domain::{CheckpointError, CheckpointName};

/// A misused step or checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The name or value cannot be stored.
    #[error("{0}")]
    Invalid(#[from] CheckpointError),
    /// The name is already used in this attempt.
    #[error(
        "the name {0} was used twice for a step or checkpoint in one attempt; every one needs a name of its own (put a number \
         into it where it stands in a loop)"
    )]
    DuplicateName(CheckpointName),
    /// The name would give the step's artifacts ids that artifacts outside of steps have.
    #[error(
        "a step cannot be named {0}: its artifacts would have the ids of those outside of steps; choose another name"
    )]
    ReservedName(CheckpointName),
    /// The value cannot be stored as JSON.
    #[error("the value of {name} cannot be kept: as JSON it {problem}")]
    Value {
        /// The step or checkpoint.
        name: CheckpointName,
        /// The problem with the value.
        problem: String,
    },
    /// The value could not be read back.
    #[error(
        "the value of {name} cannot be kept: a later attempt could not read it back ({problem}); its type must read what it \
         writes"
    )]
    NotReadBack {
        /// The step or checkpoint.
        name: CheckpointName,
        /// The problem with reading it.
        problem: String,
    },
    /// The stored value has another type.
    #[error(
        "the value stored for {name} does not fit the type that this version of the executor wants: {problem}; let the type \
         read the old form too (a default for new fields, an enum of both), or give the step or checkpoint a new name so \
         that it is made again, or pin tasks to the version that began them"
    )]
    Mismatch {
        /// The step or checkpoint.
        name: CheckpointName,
        /// The mismatch.
        problem: String,
    },
    /// A step within a step.
    #[error(
        "step {inner} was begun within step {outer}; steps cannot be nested: do one after the other, or make one of both"
    )]
    Nested {
        /// The surrounding step.
        outer: CheckpointName,
        /// The step that was begun within it.
        inner: CheckpointName,
    },
    /// An operation that is not available while output is held back.
    #[error(
        "{what} within step {step}: its output is held back until it is done; do this before or after the step"
    )]
    ForbiddenInStep {
        /// The operation.
        what: &'static str,
        /// The step.
        step: CheckpointName,
    },
    /// More output than a step may hold back.
    #[error(
        "step {step} has more output than can be held back until it is done ({max_entries} statuses and chunks, {max_mib} MiB \
         of parts); emit outside of the step, or make several steps",
        max_entries = StepError::MAX_STEP_ENTRIES,
        max_mib = StepError::MAX_STEP_BYTES >> 20
    )]
    TooMuchOutput {
        /// The step.
        step: CheckpointName,
    },
    /// Output for a step that has ended.
    #[error("step {step} has ended; its context takes no more output")]
    Ended {
        /// The step.
        step: CheckpointName,
    },
}

impl StepError {
    /// Maximum number of statuses and chunks in a step.
    pub const MAX_STEP_ENTRIES: usize = 4096;

    /// Maximum size of all parts in a step, bytes.
    pub const MAX_STEP_BYTES: usize = 64 << 20;
}
