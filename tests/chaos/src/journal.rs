//! What executors did, written outside of Longhaul: an append-only file for each worker process.
//!
//! Guarantee: a line that was written is there, also when the process is killed right behind it; the machine does not crash
//! here. A line is written in one call, so a killed process leaves at most one torn line, the last.

use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process,
    time::{SystemTime, UNIX_EPOCH},
};

/// Names the folder of the journals for worker processes.
pub const FOLDER: &str = "CHAOS_JOURNALS";

/// One thing that an executor did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// When, in microseconds since 1970 by the machine's clock, which is the database's too.
    pub at: i64,
    /// The process.
    pub pid: u32,
    /// The run; no two calls of an executor have the same.
    pub run: String,
    /// The task.
    pub task: String,
    /// What.
    pub what: What,
}

/// What an executor did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was called.
    Begun {
        /// The attempt.
        attempt: i32,
        /// The turn.
        turn: i32,
    },
    /// A step had its effect.
    Effect {
        /// Which.
        step: String,
    },
    /// It saw the cancellation.
    CancelSeen,
    /// It returned.
    Returned {
        /// With what.
        how: String,
    },
    /// Its call was dropped, or it panicked.
    Dropped,
}

/// Writes signs.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// A file of this process's own in a folder.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{}-{}.jsonl", process::id(), now()));
        Ok(Self { file: File::options().create_new(true).append(true).open(path)? })
    }

    /// Writes a sign.
    ///
    /// # Panics
    ///
    /// When the file cannot be written: without records there is nothing to check.
    pub fn write(&self, run: &str, task: &str, what: What) {
        let (run, task) = (run.to_owned(), task.to_owned());
        let sign = Sign { at: now(), pid: process::id(), run, task, what };
        let mut line = serde_json::to_vec(&sign).expect("a sign has string keys");
        line.push(b'\n');
        (&self.file).write_all(&line).expect("the journal can be written");
    }
}

/// Everything that the processes of a run have written, in the order of time.
pub fn read(folder: &Path) -> io::Result<Vec<Sign>> {
    let mut signs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(sign) => signs.push(sign),
                // The last words of a killed process.
                Err(_) if !text.ends_with('\n') && text.ends_with(line) => {}
                Err(error) => return Err(io::Error::other(format!("{line}: {error}"))),
            }
        }
    }
    signs.sort_by_key(|sign: &Sign| sign.at);
    Ok(signs)
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{FOLDER, Journal, What, read};
    use std::io::Write;

    #[test]
    fn what_was_written_is_read_in_the_order_of_time_and_a_torn_end_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (Journal::create(folder.path()), Journal::create(folder.path()));
        let (one, two) = (one.expect(FOLDER), two.expect(FOLDER));
        one.write("a", "t", What::Begun { attempt: 1, turn: 1 });
        two.write("b", "t", What::Effect { step: "s".into() });
        one.write("a", "t", What::Dropped);
        (&one.file).write_all(b"{\"at\":1,\"pi").expect("writable");
        let signs = read(folder.path()).expect("readable");
        let runs: Vec<&str> = signs.iter().map(|sign| sign.run.as_str()).collect();
        assert_eq!(runs, ["a", "b", "a"]);
        assert_eq!(signs[1].what, What::Effect { step: "s".into() });
    }
}
