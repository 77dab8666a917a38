//! How a command ends: what its exit code means, and the one sentence that explains a failure.

use longhaul_domain::TaskState;
use longhaul_runtime::settings::SettingsError;
use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The command line or the configuration is wrong; exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done; exit code 1.
    #[error("{0}")]
    Failed(String),
}

/// What a command that ran to its end has to say to the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is done; exit code 0.
    Ok,
    /// The task that it followed ended or waits in this state.
    Task(TaskState),
    /// The user interrupted it; exit code 130.
    Interrupted,
}

/// Result of a command.
pub type Outcome = Result<Done, Failure>;

impl Failure {
    /// A wrong command line.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }

    /// Something that could not be done.
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

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(format!("configuration: {error}"))
    }
}

impl Done {
    /// The exit code: 0 for a task that completed or goes on, 3 failed or rejected, 4 canceled, 5 waits for somebody.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok
            | Self::Task(TaskState::Completed | TaskState::Submitted | TaskState::Working) => 0,
            Self::Task(TaskState::Failed | TaskState::Rejected) => 3,
            Self::Task(TaskState::Canceled) => 4,
            Self::Task(TaskState::InputRequired | TaskState::AuthRequired) => 5,
            Self::Interrupted => 130,
        }
    }
}

/// Says on standard error why a command failed, and gives its exit code.
pub fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(done) => done.code().into(),
        Err(failure) => {
            // A standard error that is gone leaves nobody to tell.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("longhaul: {failure}\n").as_bytes(),
            );
            failure.code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_how_a_task_ended() {
        for (state, code) in [
            (TaskState::Completed, 0),
            (TaskState::Working, 0),
            (TaskState::Failed, 3),
            (TaskState::Rejected, 3),
            (TaskState::Canceled, 4),
            (TaskState::InputRequired, 5),
            (TaskState::AuthRequired, 5),
        ] {
            assert_eq!(Done::Task(state).code(), code, "{state:?}");
        }
    }

    #[test]
    fn wrong_usage_and_failure_have_codes_of_their_own() {
        assert_eq!(Failure::usage("a").code(), 2);
        assert_eq!(Failure::failed("a").code(), 1);
    }
}
