//! Who may write: the holder of the fence, once per operation.

use crate::{error::Result, head::Head, queue::Run, writer::Tx};
use longhaul_domain::{Seq, TaskState};
use longhaul_store::Append;

/// What a fence opens.
pub enum Guard {
    /// The run is held, and this operation is new.
    Held(Box<(Head, Run)>),
    /// This operation was done before; the last entry now.
    Done(Seq),
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
        return Ok(if done {
            Guard::Done(head.last_seq)
        } else {
            Guard::Held(Box::new((head, run)))
        });
    }
    // The settle was the last operation of its run, whatever other runs have written since.
    let settled = head.settle_token == Some(token);
    if settles && settled && (!same_run || output.op <= head.last_op) {
        return Ok(Guard::Done(head.last_seq));
    }
    Ok(if head.state.is_terminal() { Guard::Ended(head.state) } else { Guard::Fenced })
}
