//! Errors of executors, and of the calls they make.

use crate::{ExecutorFailure, InvalidOutput, OutputStopped, StepError, TaskIoError};
use longhaul_domain::blob::CorruptBlob;
use std::{error::Error, fmt, time::Duration};

/// A failed call on [`TaskContext`](crate::TaskContext). Pass it on with `?`.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The run is over: return soon. The returned value no longer matters, except for a message
    /// about a cancellation.
    #[error("{0}")]
    Stopped(#[from] OutputStopped),
    /// The output cannot be stored. Another attempt would fail the same way.
    #[error("{0}")]
    Invalid(#[from] InvalidOutput),
    /// A step or checkpoint was misused. Another attempt would fail the same way.
    #[error("{0}")]
    Step(#[from] StepError),
    /// A read failed.
    #[error("{0}")]
    Io(#[from] TaskIoError),
    /// A large part refers to damaged content.
    #[error("{0}")]
    Blob(#[from] CorruptBlob),
    /// A large part refers to content that does not exist or was removed.
    #[error("the content of a large part is missing: blob {0}")]
    MissingBlob(longhaul_domain::BlobHash),
    /// A part holds another kind of content than the call needs.
    #[error("the part holds {holds}, not {wanted}")]
    WrongContent {
        /// The content of the part.
        holds: &'static str,
        /// The content that the call needs.
        wanted: &'static str,
    },
}

/// The error of an executor. Any error converts into it with `?`, and becomes a failure that is
/// retried, with two exceptions: output and steps that cannot be stored are final, and an
/// [`OutputStopped`] anywhere in the chain of sources ends the run without a failure.
///
/// ```
/// use longhaul_executor::prelude::*;
///
/// fn parse(text: &str) -> Result<u32, ExecutorError> {
///     // Another attempt would read the same text.
///     text.parse().map_err(ExecutorError::fatal)
/// }
///
/// assert!(!parse("no number").unwrap_err().is_retryable());
/// let error = ExecutorError::from(std::io::Error::other("connection reset"));
/// assert!(error.is_retryable());
/// assert_eq!(error.cause(), "connection reset");
/// ```
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
        // A retry would repeat the same output or the same misuse of a step.
        let hopeless = find::<InvalidOutput>(source.as_ref()).is_some()
            || find::<StepError>(source.as_ref()).is_some();
        Self { source, for_operators: false, retryable: !hopeless, retry_after: None }
    }

    /// A failure that every attempt would run into.
    pub fn fatal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: error.into(), for_operators: false, retryable: false, retry_after: None }
    }

    /// Hides the cause from the client.
    #[must_use]
    pub const fn for_operators(mut self) -> Self {
        self.for_operators = true;
        self
    }

    /// Sets the shortest delay before the next attempt, regardless of the backoff.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The reason, if the run was stopped rather than failed.
    pub fn stopped(&self) -> Option<OutputStopped> {
        find::<OutputStopped>(self.source.as_ref()).copied()
    }

    /// Returns true when another attempt may succeed.
    pub const fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The error with all its sources, on one line.
    pub fn cause(&self) -> String {
        let mut text = self.source.to_string();
        let mut next = self.source.source();
        while let Some(error) = next {
            let more = error.to_string();
            // Many errors end their own text with that of their source.
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            next = error.source();
        }
        text
    }

    /// Converts the error into a failure.
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

/// Finds an error of a type in the chain of sources.
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

// `ExecutorError` does not implement `Error`: that would conflict with converting every error into
// it.
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
    fn any_error_is_retryable() {
        let error = ExecutorError::from("x".parse::<i32>().unwrap_err());
        assert!(error.is_retryable() && error.stopped().is_none());
        assert_eq!(error.into_failure().cause, "invalid digit found in string");
    }

    #[test]
    fn a_fatal_error_is_final() {
        let failure = ExecutorError::fatal("no such file").into_failure();
        assert!(!failure.retryable);
        assert_eq!(failure.cause, "no such file");
    }

    #[test]
    fn a_stop_is_found_in_any_wrapper() {
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
    fn output_that_cannot_be_stored_is_final() {
        let error = ContextError::from(InvalidOutput::NoParts { place: "artifact" });
        assert!(!ExecutorError::from(error).is_retryable());
    }
}
