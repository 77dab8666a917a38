//! Cancel requests: immediate if no worker runs the task, otherwise a request to its executor with
//! a deadline.

use crate::{error::DbResult, head::TaskHead, queue::Run, row, writer::Tx};
use longhaul_domain::{EntryBody, Note, TaskState, log::StatusChange};
use longhaul_store::{CancelRequested, RequestCancel};

/// Returns the final status of a canceled task.
pub const fn canceled_status() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Canceled))
}

pub fn request_cancel(tx: &mut Tx<'_>, request: &RequestCancel) -> DbResult<CancelRequested> {
    let RequestCancel { key, grace } = *request;
    let Some(mut head) = TaskHead::load(tx.conn, key)? else {
        return Ok(CancelRequested::NotFound);
    };
    if head.state.is_terminal() {
        return Ok(CancelRequested::Ended(head.state));
    }
    let before = head.baseline();
    let run = match Run::load(tx.conn, key)? {
        Some(run) if run.claimed => run,
        waits => {
            end_as_canceled(tx, &mut head, waits.as_ref())?;
            head.save(tx, before)?;
            return Ok(CancelRequested::Canceled { seq: head.last_seq });
        }
    };
    let deadline = tx.now.saturating_add(row::millis(grace));
    if run.cancel_at.is_none() {
        head.append(tx, 0, &EntryBody::Note(Note::CancelRequested))?;
    }
    if run.cancel_at.is_none_or(|at| at > deadline) {
        run.cancel_at(tx.conn, deadline)?;
    }
    head.save(tx, before)?;
    tx.effects.cancels.push(key);
    Ok(CancelRequested::Asked { seq: head.last_seq })
}

/// Ends a task as canceled and removes it from the queue. The caller saves the head.
pub fn end_as_canceled(tx: &mut Tx<'_>, head: &mut TaskHead, run: Option<&Run>) -> DbResult<()> {
    head.append(tx, 0, &canceled_status())?;
    run.map_or(Ok(()), |run| run.remove(tx))
}
