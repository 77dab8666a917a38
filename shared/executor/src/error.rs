//! Errors of executors, and of what they call.

use crate::{ExecutorFailure, InvalidOutput, OutputStopped, StepError, TaskIoError};
use longhaul_domain::blob::CorruptBlob;
use std::{error::Error, fmt, time::Duration};

/// Why a call on [`TaskContext`](crate::TaskContext) failed. Pass it on with `?`.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The run is over: return soon. What is returned then does not matter, except for a word about a cancellation.
    #[error("{0}")]
    Stopped(#[from] OutputStopped),
    /// The executor tried to write something that cannot be kept. The same attempt again would fail alike.
    #[error("{0}")]
    Invalid(#[from] InvalidOutput),
    /// A step or checkpoint cannot be as the executor wants it. The same attempt again would fail alike.
    #[error("{0}")]
    Step(#[from] StepError),
    /// Something could not be read.
    #[error("{0}")]
    Io(#[from] TaskIoError),
    /// A large part refers to content that is gone or damaged.
    #[error("{0}")]
    Blob(#[from] CorruptBlob),
    /// A large part refers to content that does not exist (any more).
    #[error("the content of a large part is missing: blob {0}")]
    MissingBlob(longhaul_domain::BlobHash),
    /// A part is not of the kind that was asked for.
    #[error("the part holds {holds}, not {wanted}")]
    WrongContent {
        /// What it holds.
        holds: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
}

/// What an executor failed with. Any error converts into a failure that is worth another attempt, except for two: output and
/// steps that cannot be kept are final, and [`OutputStopped`], anywhere in the chain of sources, ends the run quietly.
pub struct ExecutorError {
    source: Box<dyn Error + Send + Sync>,
    for_operators: bool,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl ExecutorError {
    /// A failure that another attempt may overcome.
    pub fn retryable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = error.into();
        let hopeless = find::<InvalidOutput>(source.as_ref()).is_some()
            || find::<StepError>(source.as_ref()).is_some();
        Self { source, for_operators: false, retryable: !hopeless, retry_after: None }
    }

    /// A failure that every attempt would meet again.
    pub fn fatal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: error.into(), for_operators: false, retryable: false, retry_after: None }
    }

    /// Keeps the cause from the client.
    #[must_use]
    pub const fn for_operators(mut self) -> Self {
        self.for_operators = true;
        self
    }

    /// Not before this time from now, whatever the back-off says.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whether the run merely stopped, and why.
    pub fn stopped(&self) -> Option<OutputStopped> {
        find::<OutputStopped>(self.source.as_ref()).copied()
    }

    /// Whether another attempt is worth while.
    pub const fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The error and everything behind it, on one line.
    pub fn cause(&self) -> String {
        let mut text = self.source.to_string();
        let mut next = self.source.source();
        while let Some(error) = next {
            let more = error.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            next = error.source();
        }
        text
    }

    /// The failure that it stands for.
    pub fn into_failure(self) -> ExecutorFailure {
        ExecutorFailure {
            message: None,
            cause: self.cause(),
            for_operators: self.for_operators,
            retryable: self.retryable,
            retry_after: self.retry_after,
        }
    }
}

/// Looks for an error of a type in the chain of sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

// `ExecutorError` itself is no `Error`: that would be in the way of converting every error into it.
impl<E: Error + Send + Sync + 'static> From<E> for ExecutorError {
    fn from(error: E) -> Self {
        Self::retryable(error)
    }
}

impl fmt::Display for ExecutorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause())
    }
}

impl fmt::Debug for ExecutorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorError")
            .field("source", &self.source)
            .field("for_operators", &self.for_operators)
            .field("retryable", &self.retryable)
            .field("retry_after", &self.retry_after)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_is_worth_another_attempt() {
        let error = ExecutorError::from("x".parse::<i32>().unwrap_err());
        assert!(error.is_retryable() && error.stopped().is_none());
        assert_eq!(error.into_failure().cause, "invalid digit found in string");
    }

    #[test]
    fn a_fatal_error_is_not() {
        let failure = ExecutorError::fatal("no such file").into_failure();
        assert!(!failure.retryable);
        assert_eq!(failure.cause, "no such file");
    }

    #[test]
    fn a_stop_is_found_however_it_is_wrapped() {
        let wrapped = ContextError::Io(TaskIoError::Stopped(OutputStopped::Draining));
        assert_eq!(ExecutorError::from(wrapped).stopped(), Some(OutputStopped::Draining));
        assert_eq!(
            ExecutorError::from(OutputStopped::Canceled).stopped(),
            Some(OutputStopped::Canceled)
        );
        let outer = std::io::Error::other(ContextError::Stopped(OutputStopped::TimedOut));
        assert_eq!(ExecutorError::from(outer).stopped(), Some(OutputStopped::TimedOut));
    }

    #[test]
    fn output_that_cannot_be_kept_is_final() {
        let error = ContextError::from(InvalidOutput::NoParts { place: "artifact" });
        assert!(!ExecutorError::from(error).is_retryable());
    }
}
