//! Appending a run's output: what is decided once the rows are locked.

use crate::{entry::Encoded, write::LockedTask};
use longhaul_domain::Fence;
use longhaul_store::{Append, Appended, Result, check_output};

/// Output that waits for its batch.
#[derive(Debug)]
pub struct Output {
    /// What was asked.
    pub append: Append,
    /// Its entries, encoded.
    pub entries: Vec<Encoded>,
}

impl From<Append> for Output {
    fn from(append: Append) -> Self {
        let entries = append.entries.iter().map(Encoded::from).collect();
        Self { append, entries }
    }
}

impl Output {
    /// What it weighs in a batch, in bytes.
    pub fn weight(&self) -> usize {
        let blobs: usize = self.append.blobs.iter().map(|blob| blob.bytes.len()).sum();
        let kept: usize = self.append.checkpoints.iter().map(|c| c.value.as_str().len()).sum();
        self.entries.iter().map(Encoded::weight).sum::<usize>() + blobs + kept + 200
    }
}

/// Whether somebody with this fence may write to the task now.
pub fn may_write(task: &LockedTask, fence: Fence) -> bool {
    task.run.as_ref().is_some_and(|run| run.is_held_by(fence))
}

/// Decides an append, and does it in memory where it is right.
pub fn append(task: &mut LockedTask, output: &Output) -> Result<Appended> {
    let Append { fence, op, attempt, .. } = output.append;
    if task.state.is_terminal() {
        return Ok(Appended::Ended(task.state));
    }
    if !may_write(task, fence) {
        return Ok(Appended::Fenced);
    }
    if task.has_done(fence.epoch, op) {
        return Ok(Appended::Already { last: task.last_seq });
    }
    check_output(task.state, &output.append.entries, None)?;
    for entry in &output.entries {
        task.place(entry.clone(), attempt);
    }
    if !output.append.checkpoints.is_empty()
        && let Some(run) = &mut task.run
    {
        run.losses = 0;
    }
    task.note_op(fence.epoch, op);
    Ok(Appended::Now { last: task.last_seq })
}
