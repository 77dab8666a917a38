//! What a command shows: a screen for people, or the JSON as it came.

use super::attempts;
use crate::{
    client::RunNote,
    exit::Failure,
    print,
    screen::{Folder, Screen, Style, escaped},
};
use longhaul_domain::{Json, Timestamp};
use longhaul_wire::{ReceivedEvent, ReceivedTask};
use serde_json::value::RawValue;
use std::{
    io::{self, Stdout, Write},
    path::Path,
};

/// Where the output goes.
pub enum View {
    /// To a person.
    Screen(Box<Screen<Stdout>>),
    /// To a program: one JSON object a line.
    Json,
}

impl View {
    /// As the flags want it. The folder is made when it is not there.
    pub fn new(json: bool, output: Option<&Path>) -> Result<Self, Failure> {
        if json {
            return Ok(Self::Json);
        }
        let folder = output.map(|path| {
            let refused = |error| format!("--output {}: cannot be made: {error}", path.display());
            Folder::open(path).map_err(|error| Failure::usage(refused(error)))
        });
        let screen = Screen::new(io::stdout(), Style::of_stdout(), folder.transpose()?);
        Ok(Self::Screen(Box::new(screen)))
    }

    /// An event.
    pub fn event(&mut self, raw: &RawValue, event: &ReceivedEvent) -> Result<(), Failure> {
        match self {
            Self::Screen(screen) => screen.show(event).map_err(|error| print::gone(&error)),
            Self::Json => print_json(raw),
        }
    }

    /// A whole task.
    pub fn task(&mut self, raw: &RawValue, task: ReceivedTask) -> Result<(), Failure> {
        match self {
            Self::Screen(screen) => screen
                .name(&task)
                .and_then(|()| screen.history(&task.history))
                .and_then(|()| screen.show(&ReceivedEvent::Task(Box::new(task))))
                .map_err(|error| print::gone(&error)),
            Self::Json => print_json(raw),
        }
    }

    /// A note from the log of the task, for people; on standard error beside JSON.
    pub fn note(&mut self, at: Timestamp, note: &RunNote) -> Result<(), Failure> {
        let Some(text) = attempts::sentence(note) else { return Ok(()) };
        match self {
            Self::Screen(screen) => screen.event(at, &text).map_err(|error| print::gone(&error)),
            Self::Json => self.remark(&text),
        }
    }

    /// A line of our own: on the screen, or beside the JSON on standard error.
    pub fn remark(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Screen(screen) => screen.remark(text).map_err(|error| print::gone(&error)),
            Self::Json => {
                // Without a standard error nobody listens.
                let _ = writeln!(io::stderr(), "{text}");
                Ok(())
            }
        }
    }

    /// Whether a person looks.
    pub const fn is_screen(&self) -> bool {
        matches!(self, Self::Screen(_))
    }

    /// Ends what is open.
    pub fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Screen(screen) => screen.finish().map_err(|error| print::gone(&error)),
            Self::Json => Ok(()),
        }
    }
}

/// Prints JSON on one line, every token as it came, but for characters that steer a terminal: those are escaped.
pub fn print_json(raw: &RawValue) -> Result<(), Failure> {
    let line = Json::parse(raw.get())
        .map_or_else(|_| raw.get().to_owned(), |json| json.as_str().to_owned());
    print::line(&escaped(&line))
}
