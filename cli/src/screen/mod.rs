//! What a person sees of a task: status lines with their times, progress in place, artifacts as they come.
//!
//! Whatever was shown is not shown again, also when a stream begins anew with a snapshot of it all.

mod artifact;
mod clean;
mod files;
mod save;
#[cfg(test)]
mod tests;

pub use clean::{clean, escaped};
pub use save::Folder;

use artifact::ShownArtifact;
use files::ArtifactFiles;

use chrono::{FixedOffset, Local, Offset};
use longhaul_domain::{
    ArtifactId, Message, Role, TaskFailure, TaskState, Timestamp, extension::DURABILITY_EXTENSION,
};
use longhaul_runtime::{Clock, SystemClock};
use longhaul_wire::{ReceivedEvent, ReceivedStatus, ReceivedTask};
use std::{
    collections::HashMap,
    io::{self, Write},
};

/// Longer progress lines would wrap, and could not be replaced.
const PROGRESS_WIDTH: usize = 78;
const REPLACE_LINE: &str = "\r\u{1b}[2K";

/// Where and how to show.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether it is a terminal: then progress is updated in place, and control characters are not passed on.
    pub terminal: bool,
    /// Of the times shown from UTC.
    pub offset: FixedOffset,
}

impl Style {
    /// Of this process's standard output.
    pub fn of_stdout() -> Self {
        let terminal = io::IsTerminal::is_terminal(&io::stdout());
        let now = SystemClock.now().with_timezone(&Local);
        Self { terminal, offset: now.offset().fix() }
    }
}

/// Shows one task.
pub struct Screen<W: Write> {
    out: W,
    style: Style,
    folder: Option<Folder>,
    named: bool,
    status: Option<(TaskState, Option<Timestamp>, Option<String>)>,
    /// What was shown of each artifact.
    shown: HashMap<ArtifactId, ShownArtifact>,
    /// The files that were made of each, where there is a folder.
    files: HashMap<ArtifactId, ArtifactFiles>,
    /// Artifacts of which something came since the last summary.
    order: Vec<ArtifactId>,
    /// The artifact whose text is being written.
    open: Option<ArtifactId>,
    line: Line,
}

/// Where the cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// At the start of a line.
    Start,
    /// Behind a progress line, which the next one replaces.
    Progress,
    /// Behind text of an artifact.
    Text,
}

impl<W: Write> Screen<W> {
    /// An empty screen; files are saved in the folder, if there is one.
    pub fn new(out: W, style: Style, folder: Option<Folder>) -> Self {
        Self {
            out,
            style,
            folder,
            named: false,
            status: None,
            shown: HashMap::new(),
            files: HashMap::new(),
            order: Vec::new(),
            open: None,
            line: Line::Start,
        }
    }

    /// Shows what came.
    pub fn show(&mut self, event: &ReceivedEvent) -> io::Result<()> {
        match event {
            ReceivedEvent::Task(task) => self.snapshot(task)?,
            ReceivedEvent::Message(message) => self.says(message)?,
            ReceivedEvent::Status(update) => self.status(&update.status)?,
            ReceivedEvent::Artifact(update) => self.artifact(&update.update)?,
        }
        self.out.flush()
    }

    /// Shows messages of both sides.
    pub fn history(&mut self, messages: &[Message]) -> io::Result<()> {
        messages.iter().try_for_each(|message| self.says(message))
    }

    /// A line of our own, apart from what the server said.
    pub fn remark(&mut self, text: &str) -> io::Result<()> {
        self.fresh_line()?;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// A line about something that happened at a time.
    pub fn event(&mut self, at: Timestamp, text: &str) -> io::Result<()> {
        let line = format!("{}  {}", self.time(Some(at)), indented(&self.clean(text)));
        self.fresh_line()?;
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Ends whatever line is open, and sums up what was saved.
    pub fn finish(&mut self) -> io::Result<()> {
        self.fresh_line()?;
        self.sum_up()?;
        self.out.flush()
    }

    /// Names the task, once.
    pub fn name(&mut self, task: &ReceivedTask) -> io::Result<()> {
        if std::mem::replace(&mut self.named, true) {
            return Ok(());
        }
        let context = task.context.as_ref();
        let context = context.map(|context| format!("  context {context}")).unwrap_or_default();
        let line = self.clean(&format!("task {}{context}", task.id));
        self.fresh_line()?;
        writeln!(self.out, "{line}")
    }

    fn snapshot(&mut self, task: &ReceivedTask) -> io::Result<()> {
        self.name(task)?;
        for artifact in &task.artifacts {
            self.rest_of(artifact)?;
        }
        self.status(&task.status)
    }

    fn status(&mut self, status: &ReceivedStatus) -> io::Result<()> {
        let said = status.message.as_ref().map(|message| message.message_id.to_string());
        let new = (status.state, status.at, said);
        if self.status.as_ref() == Some(&new) {
            return Ok(());
        }
        self.status = Some(new);
        let time = self.time(status.at);
        let text = status.message.as_ref().map(text_of).unwrap_or_default();
        let line = format!("{time}  {:<15} {}", status.state.name(), indented(&self.clean(&text)));
        self.status_line(status.state, line.trim_end(), text.contains('\n'))?;
        if let Some(message) = &status.message {
            self.failure(message, &text)?;
            self.attached(message)?;
        }
        Ok(())
    }

    /// Why a task failed, as its last message says in its metadata.
    fn failure(&mut self, message: &Message, said: &str) -> io::Result<()> {
        let facts =
            message.metadata.as_ref().and_then(|metadata| metadata.get(DURABILITY_EXTENSION));
        let Some(failed) = facts.and_then(|facts| facts.to::<TaskFailure>().ok()) else {
            return Ok(());
        };
        let cause = if said.contains(&failed.cause) { "" } else { failed.cause.as_str() };
        let attempts = match failed.attempts {
            ..=1 => String::new(),
            attempts => format!(" after {attempts} attempts"),
        };
        let line = format!("{}{attempts}: {cause}", failed.because);
        let line = indented(&self.clean(line.trim_end_matches(": ")));
        writeln!(self.out, "          {line}")
    }

    fn time(&self, at: Option<Timestamp>) -> String {
        let at = at.map(|at| at.with_timezone(&self.style.offset));
        at.map_or("--:--:--".to_owned(), |at| at.format("%H:%M:%S").to_string())
    }

    fn status_line(&mut self, state: TaskState, line: &str, long: bool) -> io::Result<()> {
        let in_place = self.style.terminal && state == TaskState::Working && !long;
        if !in_place {
            self.fresh_line()?;
            return writeln!(self.out, "{line}");
        }
        if self.line == Line::Progress {
            self.out.write_all(REPLACE_LINE.as_bytes())?;
        } else {
            self.fresh_line()?;
        }
        let short: String = line.chars().take(PROGRESS_WIDTH).collect();
        self.line = Line::Progress;
        self.out.write_all(short.as_bytes())
    }

    /// A message: who says what.
    fn says(&mut self, message: &Message) -> io::Result<()> {
        let who = match message.role {
            Role::User => "user",
            Role::Agent => "agent",
        };
        let text = indented(&self.clean(&text_of(message)));
        self.fresh_line()?;
        writeln!(self.out, "{}", format!("{who}: {text}").trim_end())?;
        self.attached(message)
    }

    /// What a message holds beside text.
    fn attached(&mut self, message: &Message) -> io::Result<()> {
        let attached = message.parts.iter().filter(|part| part.as_text().is_none());
        for part in attached {
            self.described(part, "message")?;
        }
        Ok(())
    }

    /// Goes to the start of a line.
    fn fresh_line(&mut self) -> io::Result<()> {
        self.open = None;
        match std::mem::replace(&mut self.line, Line::Start) {
            Line::Start => Ok(()),
            Line::Progress | Line::Text => self.out.write_all(b"\n"),
        }
    }

    fn clean(&self, text: &str) -> String {
        if self.style.terminal { clean(text) } else { text.to_owned() }
    }
}

fn text_of(message: &Message) -> String {
    let texts: Vec<&str> = message.parts.iter().filter_map(|part| part.as_text()).collect();
    texts.join("\n").trim_end().to_owned()
}

/// Further lines stand below the first, set in.
fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}
