//! What is wrong with a step or a checkpoint. All of it would be wrong again in the next attempt.

use longhaul_domain::{CheckpointError, CheckpointName};

/// A step or checkpoint that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Its name or value cannot be kept.
    #[error("{0}")]
    Invalid(#[from] CheckpointError),
    /// The name is taken in this attempt.
    #[error(
        "the name {0} was used twice for a step or checkpoint in one attempt; every one needs a name of its own (put a number \
         into it where it stands in a loop)"
    )]
    DuplicateName(CheckpointName),
    /// The name would give artifacts the ids that those outside of steps have.
    #[error(
        "a step cannot be named {0}: its artifacts would have the ids of those outside of steps; choose another name"
    )]
    ReservedName(CheckpointName),
    /// The value is no JSON that can be kept.
    #[error("the value of {name} cannot be kept: as JSON it {problem}")]
    Value {
        /// Which.
        name: CheckpointName,
        /// What is wrong with it.
        problem: String,
    },
    /// The value would not be read back as it is.
    #[error(
        "the value of {name} cannot be kept: a later attempt could not read it back ({problem}); its type must read what it \
         writes"
    )]
    NotReadBack {
        /// Which.
        name: CheckpointName,
        /// What is wrong with it.
        problem: String,
    },
    /// The stored value is of another type.
    #[error(
        "the value stored for {name} does not fit the type that this version of the executor wants: {problem}; let the type \
         read the old form too (a default for new fields, an enum of both), or give the step or checkpoint a new name so \
         that it is made again, or pin tasks to the version that began them"
    )]
    Mismatch {
        /// Which.
        name: CheckpointName,
        /// What does not fit.
        problem: String,
    },
    /// A step within a step.
    #[error(
        "step {inner} was begun within step {outer}; steps cannot be nested: do one after the other, or make one of both"
    )]
    Nested {
        /// The step that is under way.
        outer: CheckpointName,
        /// The one to be begun.
        inner: CheckpointName,
    },
    /// Something that makes no sense while output is held back.
    #[error(
        "{what} within step {step}: its output is held back until it is done; do this before or after the step"
    )]
    ForbiddenInStep {
        /// What.
        what: &'static str,
        /// The step.
        step: CheckpointName,
    },
    /// More output than may be held back.
    #[error(
        "step {step} has more output than can be held back until it is done ({max_entries} statuses and chunks, {max_mib} MiB \
         of parts); emit outside of the step, or make several steps",
        max_entries = StepError::MAX_STEP_ENTRIES,
        max_mib = StepError::MAX_STEP_BYTES >> 20
    )]
    TooMuchOutput {
        /// Which.
        step: CheckpointName,
    },
    /// Output of a step that has ended.
    #[error("step {step} has ended; its context takes no more output")]
    Ended {
        /// Which.
        step: CheckpointName,
    },
}

impl StepError {
    /// Most statuses and chunks of a step.
    pub const MAX_STEP_ENTRIES: usize = 4096;

    /// Most bytes of parts of a step.
    pub const MAX_STEP_BYTES: usize = 64 << 20;
}
