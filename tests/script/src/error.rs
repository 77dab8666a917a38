//! Reasons to reject a script.

use longhaul_domain::JsonError;

/// A plan that cannot be followed. The client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The metadata is not a plan.
    #[error("metadata.script is not a plan: {0}")]
    Metadata(JsonError),
    /// A text command that does not exist.
    #[error("unknown script command {name:?}; known are: {known}")]
    UnknownCommand {
        /// The command.
        name: String,
        /// The commands that exist.
        known: String,
    },
    /// A text command whose arguments are wrong.
    #[error("script command {command}: {problem}")]
    Arguments {
        /// The command.
        command: String,
        /// The problem with its arguments.
        problem: String,
    },
    /// A plan beyond the limits.
    #[error("the script asks for too much: {0}")]
    TooMuch(&'static str),
}
