//! Who may write: the holder of the fence, once per operation.

use crate::{
    error::{Fault, Result},
    head::Head,
    queue::Run,
    writer::Tx,
};
use longhaul_domain::{EntryBody, TaskState};
use longhaul_store::{Append, StoreError};

/// What a fence opens.
pub enum Guard {
    /// The run is held, and this operation is new.
    Held(Box<(Head, Run)>),
    /// This operation was done before.
    Done(Head),
    /// The run belongs to somebody else, or to nobody.
    Fenced,
    /// The task has ended.
    Ended(TaskState),
}

/// Checks the fence of a write. Only a settle is recognised after the run has been given up.
pub fn check(tx: &Tx<'_>, output: &Append, settles: bool) -> Result<Guard> {
    let Some(head) = Head::load(tx.conn, output.key)? else { return Ok(Guard::Fenced) };
    let (epoch, token) = (output.fence.epoch.0, output.fence.token);
    let same_run = head.op_epoch == epoch;
    let run = Run::load(tx.conn, output.key)?;
    if let Some(run) = run
        && run.claimed
        && run.epoch == epoch
        && run.token == Some(token)
    {
        let done = same_run && output.op <= head.last_op;
        return Ok(if done { Guard::Done(head) } else { Guard::Held(Box::new((head, run))) });
    }
    // The settle was the last operation of its run, whatever other runs have written since.
    let settled = head.settle_token == Some(token);
    if settles && settled && (!same_run || output.op <= head.last_op) {
        return Ok(Guard::Done(head));
    }
    Ok(if head.state.is_terminal() { Guard::Ended(head.state) } else { Guard::Fenced })
}

/// Refuses output that an executor cannot have made, or that the state machine does not allow, before any of it is
/// written. `last` is the state that the last entry must bring, if it must bring one.
pub fn check_entries(
    mut state: TaskState,
    entries: &[EntryBody],
    last: Option<TaskState>,
) -> Result<()> {
    for (at, entry) in entries.iter().enumerate() {
        let expected = match last {
            Some(last) if at + 1 == entries.len() => last,
            _ => TaskState::Working,
        };
        match entry {
            EntryBody::Message(_) => return refused("an executor cannot speak for the client"),
            EntryBody::Status(change) if change.state != expected => {
                return refused("a status stands where it cannot");
            }
            EntryBody::Status(change) => state = state.after(change.state.transition_to())?,
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
    Err(Fault::Store(StoreError::Refused(why.to_owned())))
}
