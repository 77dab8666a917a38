//! Journals of executor actions, outside of Longhaul: one append-only file per worker process.
//!
//! A written line survives a kill of its process (the machine itself does not crash here). A line
//! is written in one call, so a killed process leaves at most one torn line, the last.

use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process,
    time::{SystemTime, UNIX_EPOCH},
};

/// Environment variable with the folder of the journals.
pub const JOURNAL_FOLDER_VAR: &str = "CHAOS_JOURNALS";

/// One action of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Time in microseconds since 1970, by the machine's clock, which the database shares.
    pub at: i64,
    /// The process id.
    pub pid: u32,
    /// The run; unique per call of the executor.
    pub run: String,
    /// The task's id.
    pub task: String,
    /// The action.
    pub what: ExecutorAction,
}

/// Actions of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorAction {
    /// A call started.
    Started {
        /// Number of the attempt.
        attempt: i32,
        /// Number of the turn.
        turn: i32,
    },
    /// A step had its effect.
    Effect {
        /// Name of the step.
        step: String,
    },
    /// The executor saw the cancel.
    CancelSeen,
    /// The call returned.
    Returned {
        /// The state or stop reason that it returned.
        how: String,
    },
    /// The call was dropped, or panicked.
    Dropped,
}

/// Writes the journal of one process.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Creates a journal for this process in a folder.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{}-{}.jsonl", process::id(), now()));
        Ok(Self { file: File::options().create_new(true).append(true).open(path)? })
    }

    /// Writes an entry.
    ///
    /// # Panics
    ///
    /// When the file cannot be written: without journals there is nothing to check.
    pub fn write(&self, run: &str, task: &str, what: ExecutorAction) {
        let (run, task) = (run.to_owned(), task.to_owned());
        let entry = JournalEntry { at: now(), pid: process::id(), run, task, what };
        let mut line = serde_json::to_vec(&entry).expect("an entry has string keys");
        line.push(b'\n');
        (&self.file).write_all(&line).expect("the journal can be written");
    }
}

/// Reads the entries of all processes, ordered by time.
pub fn read(folder: &Path) -> io::Result<Vec<JournalEntry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder)? {
        let text = fs::read_to_string(file?.path())?;
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(entry) => entries.push(entry),
                // The torn last line of a killed process.
                Err(_) if !text.ends_with('\n') && text.ends_with(line) => {}
                Err(error) => return Err(io::Error::other(format!("{line}: {error}"))),
            }
        }
    }
    entries.sort_by_key(|entry: &JournalEntry| entry.at);
    Ok(entries)
}

/// The current time in microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{ExecutorAction, JOURNAL_FOLDER_VAR, Journal, read};
    use std::io::Write;

    #[test]
    fn entries_are_read_in_order_of_time_without_a_torn_last_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (Journal::create(folder.path()), Journal::create(folder.path()));
        let (one, two) = (one.expect(JOURNAL_FOLDER_VAR), two.expect(JOURNAL_FOLDER_VAR));
        one.write("a", "t", ExecutorAction::Started { attempt: 1, turn: 1 });
        two.write("b", "t", ExecutorAction::Effect { step: "s".into() });
        one.write("a", "t", ExecutorAction::Dropped);
        (&one.file).write_all(b"{\"at\":1,\"pi").expect("writable");
        let entries = read(folder.path()).expect("readable");
        let runs: Vec<&str> = entries.iter().map(|entry| entry.run.as_str()).collect();
        assert_eq!(runs, ["a", "b", "a"]);
        assert_eq!(entries[1].what, ExecutorAction::Effect { step: "s".into() });
    }
}
