//! Rules for the output of a run, shared by all stores.

use crate::{Result, StoreError};
use longhaul_domain::{EntryBody, TaskState};

/// Checks the entries of an append or a settle against the committed state before any is written.
/// `last` is the state that the last entry must bring, for a settle that ends or parks. Every other
/// status must be `working`, and only clients write messages. A violation of these rules, or of the
/// state machine, fails with [`StoreError::Refused`].
pub fn check_output(
    mut state: TaskState,
    entries: &[EntryBody],
    last: Option<TaskState>,
) -> Result<()> {
    for (at, entry) in entries.iter().enumerate() {
        // Only the last entry of a settle may leave `working`.
        let expected = match last {
            Some(last) if at + 1 == entries.len() => last,
            _ => TaskState::Working,
        };
        match entry {
            EntryBody::Message(_) => return refused("an executor cannot speak for the client"),
            EntryBody::Status(change) if change.state != expected => {
                return refused("a status stands where it cannot");
            }
            EntryBody::Status(change) => {
                // Each status is judged by the state that the one before it leaves behind.
                let next = state.after(change.state.transition_to());
                state = next.map_err(|error| StoreError::Refused(error.to_string()))?;
            }
            // Neither changes the state; bounds of their contents were checked by the worker.
            EntryBody::Artifact(_) | EntryBody::Note(_) => {}
        }
    }
    match last {
        Some(last)
            if entries.last().and_then(EntryBody::status).is_none_or(|s| s.state != last) =>
        {
            refused("the last entry is not the status in which the run ends")
        }
        _ => Ok(()),
    }
}

fn refused<T>(why: &str) -> Result<T> {
    Err(StoreError::Refused(why.to_owned()))
}
