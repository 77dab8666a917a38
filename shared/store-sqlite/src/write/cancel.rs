//! Cancel: at once where nobody runs the task, otherwise by asking.

use crate::{error::Result, head::Head, queue::Run, row, writer::Tx};
use longhaul_domain::{EntryBody, Note, TaskState, log::StatusChange};
use longhaul_store::{CancelRequested, RequestCancel};

/// The status that ends a canceled task.
pub const fn canceled() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Canceled))
}

pub fn request_cancel(tx: &mut Tx<'_>, request: &RequestCancel) -> Result<CancelRequested> {
    let RequestCancel { key, grace } = *request;
    let Some(mut head) = Head::load(tx.conn, key)? else { return Ok(CancelRequested::NotFound) };
    if head.state.is_terminal() {
        return Ok(CancelRequested::Ended(head.state));
    }
    let before = head.before();
    let run = match Run::load(tx.conn, key)? {
        Some(run) if run.claimed => run,
        waits => {
            end(tx, &mut head, waits.as_ref())?;
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

/// Ends a task as canceled, in the name of nobody, and takes it off the queue. The head is to be saved afterwards.
pub fn end(tx: &mut Tx<'_>, head: &mut Head, run: Option<&Run>) -> Result<()> {
    head.append(tx, 0, &canceled())?;
    run.map_or(Ok(()), |run| run.remove(tx))
}
