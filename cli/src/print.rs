//! Results on standard output, warnings on standard error.

use crate::exit::CommandError;
use std::io::{self, Write};

/// Prints a line.
pub fn line(text: &str) -> Result<(), CommandError> {
    write_out(&format!("{text}\n"))
}

/// Prints text without adding a line end.
pub fn write_out(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    // Flushed at once, so that a failure is reported for the result that it lost.
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| stdout_error(&error))
}

/// Prints a warning on standard error.
pub fn warning(text: &str) {
    // Warnings are optional: a closed standard error does not end the command.
    let _ = writeln!(io::stderr(), "longhaul: {text}");
}

/// The error of a failed write to standard output.
pub fn stdout_error(error: &io::Error) -> CommandError {
    CommandError::failed(format!("standard output cannot be written: {error}"))
}
