//! Lines on a terminal or in a file: progress in place, running text, whole lines.

use super::clean;
use chrono::{FixedOffset, Local, Offset};
use longhaul_domain::{ArtifactId, Timestamp};
use longhaul_runtime::{Clock, SystemClock};
use std::io::{self, Write};

/// Longest progress line, in characters: a longer one would wrap, and could not be replaced.
pub const MAX_PROGRESS_CHARS: usize = 78;
/// Returns to the start of the line and erases it (ECMA-48).
const ERASE_LINE: &str = "\r\u{1b}[2K";

/// The form of the output.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// True for a terminal: progress is updated in place, and control characters are replaced.
    pub terminal: bool,
    /// Offset of local time from UTC.
    pub offset: FixedOffset,
}

impl Style {
    /// Detects the style of this process's standard output.
    pub fn of_stdout() -> Self {
        let terminal = io::IsTerminal::is_terminal(&io::stdout());
        let now = SystemClock.now().with_timezone(&Local);
        Self { terminal, offset: now.offset().fix() }
    }
}

/// The position of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CursorPosition {
    /// At the start of a line.
    LineStart,
    /// Behind a progress line, which the next one replaces.
    Progress,
    /// Behind running text.
    Text,
}

/// A writer of lines that knows where the cursor stands.
pub struct LineWriter<W: Write> {
    out: W,
    style: Style,
    position: CursorPosition,
    /// The artifact whose text is being written.
    open_artifact: Option<ArtifactId>,
}

impl<W: Write> LineWriter<W> {
    pub const fn new(out: W, style: Style) -> Self {
        Self { out, style, position: CursorPosition::LineStart, open_artifact: None }
    }

    pub const fn is_terminal(&self) -> bool {
        self.style.terminal
    }

    /// Moves to the start of a line.
    pub fn start_line(&mut self) -> io::Result<()> {
        // Whatever comes on the new line, it interrupts the artifact's text.
        self.open_artifact = None;
        match std::mem::replace(&mut self.position, CursorPosition::LineStart) {
            CursorPosition::LineStart => Ok(()),
            CursorPosition::Progress | CursorPosition::Text => self.out.write_all(b"\n"),
        }
    }

    /// Writes a line as it is.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.start_line()?;
        writeln!(self.out, "{line}")
    }

    /// Writes a line of a server's text.
    pub fn clean_line(&mut self, text: &str) -> io::Result<()> {
        let line = self.clean(text);
        self.line(&line)
    }

    /// Writes a progress line, in place of the one before. Elsewhere than on a terminal it is a
    /// line like any other.
    pub fn progress(&mut self, line: &str) -> io::Result<()> {
        if !self.style.terminal {
            return self.line(line);
        }
        if self.position == CursorPosition::Progress {
            self.out.write_all(ERASE_LINE.as_bytes())?;
        } else {
            self.start_line()?;
        }
        // Cut by characters, as bytes could split one.
        let line: String = line.chars().take(MAX_PROGRESS_CHARS).collect();
        self.position = CursorPosition::Progress;
        self.out.write_all(line.as_bytes())
    }

    /// Writes running text; the next text continues the line.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        let text = self.clean(text);
        self.out.write_all(text.as_bytes())?;
        match text.chars().last() {
            None => {}
            Some('\n') => self.position = CursorPosition::LineStart,
            Some(_) => self.position = CursorPosition::Text,
        }
        Ok(())
    }

    /// Marks the artifact whose text is being written, until the next line starts.
    pub fn open_artifact(&mut self, id: &ArtifactId) {
        self.open_artifact = Some(id.clone());
    }

    pub fn is_open_artifact(&self, id: &ArtifactId) -> bool {
        self.open_artifact.as_ref() == Some(id)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Formats a time of day in local time.
    pub fn time(&self, at: Option<Timestamp>) -> String {
        let at = at.map(|at| at.with_timezone(&self.style.offset));
        at.map_or("--:--:--".to_owned(), |at| at.format("%H:%M:%S").to_string())
    }

    /// Replaces control characters on a terminal. A file gets the text as it came.
    pub fn clean(&self, text: &str) -> String {
        if self.style.terminal { clean(text) } else { text.to_owned() }
    }
}
