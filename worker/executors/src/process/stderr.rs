//! Standard error of a plugin: to the log, and the last lines kept for error messages.

use super::{
    lines::{Line, Lines, shown},
    rate::{Admitted, LineRate},
    shared::Shared,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{io::BufReader, process::ChildStderr};

/// Longest line that is logged, bytes.
const MAX_LINE: usize = 4096;
/// How many lines an error message shows, and how many bytes of each.
const TAIL: (usize, usize) = (10, 300);

/// The last lines.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL.0 {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Lines of their own for the end of a cause; empty when nothing was written.
    pub fn paragraph(&self) -> String {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.make_contiguous() {
            [] => String::new(),
            lines => format!("\nlast lines of standard error:\n{}", lines.join("\n")),
        }
    }

    /// For the end of an error message; empty when nothing was written.
    pub fn sentence(&self) -> String {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.make_contiguous() {
            [] => String::new(),
            lines => format!("; last lines of standard error: {}", lines.join(" | ")),
        }
    }
}

/// Logs every line until the stream ends.
pub(super) async fn forward(shared: Arc<Shared>, stderr: ChildStderr) {
    let mut lines = Lines::new(BufReader::new(stderr), MAX_LINE);
    let mut rate = LineRate::new();
    loop {
        let bytes = match lines.next().await {
            Line::Whole(bytes) | Line::TooLong(bytes) | Line::Unfinished(bytes) => bytes,
            Line::End => return,
        };
        let line = shown(&bytes, MAX_LINE);
        if line.trim().is_empty() {
            continue;
        }
        shared.tail.push(shown(line.as_bytes(), TAIL.1));
        match rate.admit() {
            Admitted::No => continue,
            Admitted::After(0) => {}
            Admitted::After(dropped) => {
                tracing::warn!(agent = %shared.agent, dropped, "a plugin writes too much to standard error");
            }
        }
        let task = shared.only_task().map(tracing::field::display);
        tracing::info!(agent = %shared.agent, task, line, "plugin");
    }
}
