//! Exit codes of commands, and the sentence that explains a failure.

use longhaul_domain::TaskState;
use longhaul_runtime::settings::SettingsError;
use std::process::ExitCode;

/// The failure of a command, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command line or the configuration is wrong; exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command could not do its work; exit code 1.
    #[error("{0}")]
    Failed(String),
}

/// The completion of a command, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The command did its work; exit code 0.
    Ok,
    /// The task that the command followed ended, or is parked, in this state.
    Task(TaskState),
    /// The user interrupted it; exit code 130.
    Interrupted,
}

/// The result of a command.
pub type CommandResult = Result<Completion, CommandError>;

impl CommandError {
    /// Creates the error of a wrong command line or configuration.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }

    /// Creates the error of a command that could not do its work.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    /// The exit code: 2 for wrong usage or configuration, else 1.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        Self::Usage(format!("configuration: {error}"))
    }
}

impl Completion {
    /// The exit code: 0 for a task that completed or goes on, 3 if it failed or was rejected, 4 if
    /// it was canceled, 5 while it waits for input or authorization.
    pub const fn code(self) -> u8 {
        match self {
            // A task that goes on is a success: the command was told not to wait.
            Self::Ok
            | Self::Task(TaskState::Completed | TaskState::Submitted | TaskState::Working) => 0,
            Self::Task(TaskState::Failed | TaskState::Rejected) => 3,
            Self::Task(TaskState::Canceled) => 4,
            Self::Task(TaskState::InputRequired | TaskState::AuthRequired) => 5,
            Self::Interrupted => 130,
        }
    }
}

/// Prints the failure of a command on standard error; returns the exit code.
pub fn report(result: CommandResult) -> ExitCode {
    match result {
        Ok(completion) => completion.code().into(),
        Err(error) => {
            // The exit code tells the failure even if standard error is closed.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("longhaul: {error}\n").as_bytes(),
            );
            error.code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_reflects_the_state_of_the_task() {
        for (state, code) in [
            (TaskState::Completed, 0),
            (TaskState::Working, 0),
            (TaskState::Failed, 3),
            (TaskState::Rejected, 3),
            (TaskState::Canceled, 4),
            (TaskState::InputRequired, 5),
            (TaskState::AuthRequired, 5),
        ] {
            assert_eq!(Completion::Task(state).code(), code, "{state:?}");
        }
    }

    #[test]
    fn wrong_usage_and_failure_have_different_codes() {
        assert_eq!(CommandError::usage("a").code(), 2);
        assert_eq!(CommandError::failed("a").code(), 1);
    }
}
