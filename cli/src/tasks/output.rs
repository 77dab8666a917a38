//! Output of commands about tasks: text for people, or the JSON as it came.

use crate::{
    exit::CommandError,
    print,
    screen::{OutputFolder, Style, TaskScreen, escaped},
};
use longhaul_client::RunNote;
use longhaul_domain::{Json, Timestamp};
use longhaul_wire::{ReceivedEvent, ReceivedTask};
use serde_json::value::RawValue;
use std::{
    io::{self, Stdout, Write},
    path::Path,
};

/// The destination and form of a command's output.
pub enum TaskOutput {
    /// Text for people.
    Screen(Box<TaskScreen<Stdout>>),
    /// JSON, an object a line.
    Json,
}

impl TaskOutput {
    /// Creates the output that the flags ask for, and the folder for artifacts if it is missing.
    pub fn new(json: bool, folder: Option<&Path>) -> Result<Self, CommandError> {
        if json {
            return Ok(Self::Json);
        }
        let folder = folder.map(|path| {
            let refused = |error| format!("--output {}: cannot be made: {error}", path.display());
            OutputFolder::open(path).map_err(|error| CommandError::usage(refused(error)))
        });
        let screen = TaskScreen::new(io::stdout(), Style::of_stdout(), folder.transpose()?);
        Ok(Self::Screen(Box::new(screen)))
    }

    /// Shows an event.
    pub fn event(&mut self, raw: &RawValue, event: &ReceivedEvent) -> Result<(), CommandError> {
        match self {
            Self::Screen(screen) => screen.show(event).map_err(|error| print::stdout_error(&error)),
            Self::Json => print_json(raw),
        }
    }

    /// Shows a whole task.
    pub fn task(&mut self, raw: &RawValue, task: ReceivedTask) -> Result<(), CommandError> {
        match self {
            Self::Screen(screen) => screen
                .task_line(&task)
                .and_then(|()| screen.history(&task.history))
                .and_then(|()| screen.show(&ReceivedEvent::Task(Box::new(task))))
                .map_err(|error| print::stdout_error(&error)),
            Self::Json => print_json(raw),
        }
    }

    /// Shows a note of the task's log, as text in either form; beside JSON on standard error.
    pub fn note(&mut self, at: Timestamp, note: &RunNote) -> Result<(), CommandError> {
        let Some(text) = describe_note(note) else { return Ok(()) };
        match self {
            Self::Screen(screen) => {
                screen.timed_line(at, &text).map_err(|error| print::stdout_error(&error))
            }
            Self::Json => self.remark(&text),
        }
    }

    /// Shows a line of the command's own; beside JSON on standard error.
    pub fn remark(&mut self, text: &str) -> Result<(), CommandError> {
        match self {
            Self::Screen(screen) => {
                screen.remark(text).map_err(|error| print::stdout_error(&error))
            }
            Self::Json => {
                // Remarks are optional: a closed standard error does not end the command.
                let _ = writeln!(io::stderr(), "{text}");
                Ok(())
            }
        }
    }

    /// Returns true for text.
    pub const fn is_screen(&self) -> bool {
        matches!(self, Self::Screen(_))
    }

    /// Completes the output.
    pub fn finish(&mut self) -> Result<(), CommandError> {
        match self {
            Self::Screen(screen) => screen.finish().map_err(|error| print::stdout_error(&error)),
            Self::Json => Ok(()),
        }
    }
}

/// Prints JSON on one line. Every token stays as it came, but characters that steer a terminal
/// become escapes.
pub fn print_json(raw: &RawValue) -> Result<(), CommandError> {
    // Parsing removes white space between tokens. JSON beyond its limits is printed as it came.
    let line = Json::parse(raw.get())
        .map_or_else(|_| raw.get().to_owned(), |json| json.as_str().to_owned());
    print::line(&escaped(&line))
}

/// Describes a note in a sentence; `None` for notes that are not shown to people.
pub fn describe_note(note: &RunNote) -> Option<String> {
    match note {
        RunNote::AttemptFailed { attempt, cause, retry_in_ms } => {
            let (seconds, tenths) = (retry_in_ms / 1_000, retry_in_ms % 1_000 / 100);
            Some(format!("attempt {attempt} failed: {cause}; the next in {seconds}.{tenths} s"))
        }
        RunNote::WorkerLost { .. } => {
            Some("its worker was lost; the task is offered to others".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_is_described_with_its_cause_and_retry() {
        let note = RunNote::AttemptFailed {
            attempt: 2,
            cause: "the disk is full".to_owned(),
            retry_in_ms: 1_250,
        };
        let text = describe_note(&note).unwrap();
        assert_eq!(text, "attempt 2 failed: the disk is full; the next in 1.2 s");
        assert_eq!(describe_note(&RunNote::Other), None);
    }
}
