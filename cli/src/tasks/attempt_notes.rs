//! Failed attempts of a task that is followed. Streams do not carry them; the task's log does.
//!
//! While the stream is silent, the log is polled for new notes with a growing pause. A server
//! without such a log, because it is older or no Longhaul server, is asked once.

use super::output::TaskOutput;
use crate::exit::CommandError;
use longhaul_client::{A2aClient, RunNote, TaskLogQuery};
use longhaul_wire::TaskRef;
use std::time::Duration;
use tokio::time::timeout;

/// Silence of the stream before the first read.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
/// Longest pause between two reads.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// Longest time of a read: the stream is not shown meanwhile.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Latest entries that the first read covers.
const FIRST_READ_ENTRIES: u32 = 200;
/// Most entries of a read.
const MAX_READ_ENTRIES: u32 = 1_000;

/// The notes of one task, each shown once.
pub struct AttemptNotes {
    /// Absent once the server has turned out to have no log.
    client: Option<A2aClient>,
    /// Sequence number of the last entry that was read.
    seen: Option<i64>,
    pause: Duration,
}

impl AttemptNotes {
    /// Creates a reader that has read nothing yet.
    pub const fn new(client: A2aClient) -> Self {
        Self { client: Some(client), seen: None, pause: FIRST_PAUSE }
    }

    /// Waits until the next read is due; forever if the server has no log.
    pub async fn wait(&mut self) {
        if self.client.is_none() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Resets the pause: the stream is not silent.
    pub const fn reset_pause(&mut self) {
        self.pause = FIRST_PAUSE;
    }

    /// Returns true if the log was read.
    pub const fn was_read(&self) -> bool {
        self.seen.is_some()
    }

    /// Shows the notes since the last read. A failed read shows nothing: the notes only
    /// complement the stream.
    pub async fn show_new(
        &mut self,
        task: &TaskRef,
        output: &mut TaskOutput,
    ) -> Result<(), CommandError> {
        let Some(client) = &self.client else { return Ok(()) };
        loop {
            let query = TaskLogQuery {
                after: self.seen,
                // The end of the log is enough at first: older attempts are history.
                tail: self.seen.is_none().then_some(FIRST_READ_ENTRIES),
                limit: Some(MAX_READ_ENTRIES),
                notes_only: true,
            };
            let Ok(answer) = timeout(READ_TIMEOUT, client.task_log(task, query)).await else {
                return Ok(());
            };
            let page = match answer {
                Ok(page) => page.value,
                Err(error) => {
                    // Errors such as 404 last; a server that is busy is asked again.
                    if !error.is_transient() {
                        self.client = None;
                    }
                    return Ok(());
                }
            };
            for entry in &page.entries {
                if let Some(note) = RunNote::from_entry(entry) {
                    output.note(entry.at, &note)?;
                }
            }
            self.seen = Some(page.next);
            if !page.more {
                return Ok(());
            }
        }
    }
}
