//! A task as text for people: status lines with times, progress in place, artifacts as they come.
//!
//! Nothing is shown twice, not even if a stream begins again with a snapshot.

mod artifact_files;
mod artifacts;
mod clean;
mod line_writer;
mod output_folder;
#[cfg(test)]
mod tests;

pub use clean::{clean, escaped};
pub use line_writer::Style;
pub use output_folder::OutputFolder;

use artifacts::ArtifactPrinter;
use line_writer::LineWriter;
use longhaul_domain::{
    Message, Role, TaskFailure, TaskState, Timestamp, extension::DURABILITY_EXTENSION,
};
use longhaul_wire::{ReceivedEvent, ReceivedStatus, ReceivedTask};
use std::io::{self, Write};

/// The view of one task.
pub struct TaskScreen<W: Write> {
    out: LineWriter<W>,
    artifacts: ArtifactPrinter,
    /// True once the line with the task's id was written.
    named: bool,
    /// The latest status that was shown: state, time and message id.
    status: Option<(TaskState, Option<Timestamp>, Option<String>)>,
}

impl<W: Write> TaskScreen<W> {
    /// Creates an empty view. Artifacts are saved in the folder, if there is one.
    pub fn new(out: W, style: Style, folder: Option<OutputFolder>) -> Self {
        Self {
            out: LineWriter::new(out, style),
            artifacts: ArtifactPrinter::new(folder),
            named: false,
            status: None,
        }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &ReceivedEvent) -> io::Result<()> {
        match event {
            ReceivedEvent::Task(task) => self.snapshot(task)?,
            ReceivedEvent::Message(message) => self.message(message)?,
            ReceivedEvent::Status(update) => self.status(&update.status)?,
            ReceivedEvent::Artifact(update) => {
                self.artifacts.chunk(&mut self.out, &update.update)?;
            }
        }
        self.out.flush()
    }

    /// Shows messages of both sides.
    pub fn history(&mut self, messages: &[Message]) -> io::Result<()> {
        messages.iter().try_for_each(|message| self.message(message))
    }

    /// Shows a line of the command's own, which needs no cleaning.
    pub fn remark(&mut self, text: &str) -> io::Result<()> {
        self.out.line(text)?;
        self.out.flush()
    }

    /// Shows a line with a time.
    pub fn timed_line(&mut self, at: Timestamp, text: &str) -> io::Result<()> {
        let line = format!("{}  {}", self.out.time(Some(at)), indented(&self.out.clean(text)));
        self.out.line(&line)?;
        self.out.flush()
    }

    /// Completes the view: ends the line, and summarizes artifacts.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.start_line()?;
        self.artifacts.summary(&mut self.out)?;
        self.out.flush()
    }

    /// Shows the task's id and context, once.
    pub fn task_line(&mut self, task: &ReceivedTask) -> io::Result<()> {
        if std::mem::replace(&mut self.named, true) {
            return Ok(());
        }
        let context = task.context.as_ref();
        let context = context.map(|context| format!("  context {context}")).unwrap_or_default();
        self.out.clean_line(&format!("task {}{context}", task.id))
    }

    fn snapshot(&mut self, task: &ReceivedTask) -> io::Result<()> {
        self.task_line(task)?;
        for artifact in &task.artifacts {
            self.artifacts.snapshot(&mut self.out, artifact)?;
        }
        self.status(&task.status)
    }

    fn status(&mut self, status: &ReceivedStatus) -> io::Result<()> {
        let message_id = status.message.as_ref().map(|message| message.message_id.to_string());
        let new = (status.state, status.at, message_id);
        // A snapshot repeats the latest status.
        if self.status.as_ref() == Some(&new) {
            return Ok(());
        }
        self.status = Some(new);
        let time = self.out.time(status.at);
        let text = status.message.as_ref().map(text_of).unwrap_or_default();
        let line =
            format!("{time}  {:<15} {}", status.state.name(), indented(&self.out.clean(&text)));
        // Text of several lines cannot be replaced in place.
        if status.state == TaskState::Working && !text.contains('\n') {
            self.out.progress(line.trim_end())?;
        } else {
            self.out.line(line.trim_end())?;
        }
        if let Some(message) = &status.message {
            self.failure(message, &text)?;
            self.attachments(message)?;
        }
        Ok(())
    }

    /// Shows the cause of a failure, which a Longhaul server puts into the message's metadata.
    fn failure(&mut self, message: &Message, shown_text: &str) -> io::Result<()> {
        let failure =
            message.metadata.as_ref().and_then(|metadata| metadata.get(DURABILITY_EXTENSION));
        let Some(failure) = failure.and_then(|failure| failure.to::<TaskFailure>().ok()) else {
            return Ok(());
        };
        // The message often quotes the cause already.
        let cause = if shown_text.contains(&failure.cause) { "" } else { failure.cause.as_str() };
        let attempts = match failure.attempts {
            ..=1 => String::new(),
            attempts => format!(" after {attempts} attempts"),
        };
        let line = format!("{}{attempts}: {cause}", failure.because);
        let line = indented(&self.out.clean(line.trim_end_matches(": ")));
        self.out.line(&format!("          {line}"))
    }

    /// Shows a message with its sender.
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let sender = match message.role {
            Role::User => "user",
            Role::Agent => "agent",
        };
        let text = indented(&self.out.clean(&text_of(message)));
        self.out.line(format!("{sender}: {text}").trim_end())?;
        self.attachments(message)
    }

    /// Shows the parts of a message other than text.
    fn attachments(&mut self, message: &Message) -> io::Result<()> {
        let attachments = message.parts.iter().filter(|part| part.as_text().is_none());
        for part in attachments {
            self.artifacts.part_line(&mut self.out, part, "message")?;
        }
        Ok(())
    }
}

fn text_of(message: &Message) -> String {
    let texts: Vec<&str> = message.parts.iter().filter_map(|part| part.as_text()).collect();
    texts.join("\n").trim_end().to_owned()
}

/// Indents all lines but the first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}
