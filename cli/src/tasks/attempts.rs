//! The attempts of a task that is followed: streams do not carry them, the log of the task does.
//!
//! While a stream is silent, the log is asked for new notes, less and less often. A server that has no such log, because it is
//! another A2A server or an older one, is asked once.

use crate::{
    client::{RunNote, Site, TaskLogPage, read},
    exit::Failure,
    tasks::view::View,
};
use longhaul_wire::TaskRef;
use std::time::Duration;
use tokio::time::timeout;

/// Silence after which the log is read for the first time.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
/// Longest pause between two reads.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How long the log may take: meanwhile the stream is not shown.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Entries before the end with which reading begins.
const TAIL: u32 = 200;

/// Reads the notes of one task, each once.
pub struct Attempts {
    site: Option<Site>,
    /// The last entry that was looked at.
    seen: Option<i64>,
    pause: Duration,
}

impl Attempts {
    /// Nothing was read yet.
    pub const fn new(site: Site) -> Self {
        Self { site: Some(site), seen: None, pause: FIRST_PAUSE }
    }

    /// Waits as long as the stream may be silent before the next read; for ever where there is nothing to read.
    pub async fn silence(&mut self) {
        if self.site.is_none() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Notes that the stream is not silent.
    pub const fn heard(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    /// Whether the log was read at all.
    pub const fn has_looked(&self) -> bool {
        self.seen.is_some()
    }

    /// Shows the notes since the last read. What cannot be read is left out: the stream is what counts.
    pub async fn show_new(&mut self, task: &TaskRef, view: &mut View) -> Result<(), Failure> {
        let Some(site) = &self.site else { return Ok(()) };
        loop {
            let mut query = vec![("kind", "note".to_owned()), ("limit", "1000".to_owned())];
            match self.seen {
                Some(seen) => query.push(("after", seen.to_string())),
                None => query.push(("tail", TAIL.to_string())),
            }
            let id = task.to_string();
            let Ok(answered) = timeout(READ_TIMEOUT, site.task_log(&id, &query)).await else {
                return Ok(());
            };
            let page = match answered.and_then(|raw| read::<TaskLogPage>(&raw)) {
                Ok(page) => page,
                Err(error) => {
                    // A server without such a log is not asked again.
                    if !error.is_transient() {
                        self.site = None;
                    }
                    return Ok(());
                }
            };
            for entry in &page.entries {
                if let Some(note) = entry.note() {
                    view.note(entry.at, &note)?;
                }
            }
            self.seen = Some(page.next);
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// The sentence that a note is for people; none where there is nothing to say.
pub fn sentence(note: &RunNote) -> Option<String> {
    match note {
        RunNote::AttemptFailed { attempt, cause, retry_in_ms } => {
            let (seconds, tenths) = (retry_in_ms / 1_000, retry_in_ms % 1_000 / 100);
            Some(format!("attempt {attempt} failed: {cause}; the next in {seconds}.{tenths} s"))
        }
        RunNote::WorkerLost { .. } => {
            Some("its worker was lost; the task is offered to others".to_owned())
        }
        RunNote::CancelRequested | RunNote::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_says_why_and_when_the_next_one_begins() {
        let note = RunNote::AttemptFailed {
            attempt: 2,
            cause: "the disk is full".to_owned(),
            retry_in_ms: 1_250,
        };
        let said = sentence(&note).unwrap();
        assert_eq!(said, "attempt 2 failed: the disk is full; the next in 1.2 s");
        assert_eq!(sentence(&RunNote::Other), None);
    }
}
