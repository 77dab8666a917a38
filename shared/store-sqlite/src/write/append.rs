//! Output of a run.

use super::{
    checkpoints,
    guard::{self, Guard},
};
use crate::{
    error::Result,
    head::{Head, add_blobs},
    queue,
    writer::Tx,
};
use longhaul_domain::EntryBody;
use longhaul_store::{Append, Appended, check_output};

pub fn append(tx: &mut Tx<'_>, append: &Append) -> Result<Appended> {
    let mut head = match guard::check(tx, append, false)? {
        Guard::Held(held) => held.0,
        Guard::Done(last) => return Ok(Appended::Already { last }),
        Guard::Fenced => return Ok(Appended::Fenced),
        Guard::Ended(state) => return Ok(Appended::Ended(state)),
    };
    check_output(head.state, &append.entries, None)?;
    let before = head.before();
    write(tx, &mut head, append, &append.entries)?;
    if !append.checkpoints.is_empty() {
        queue::made_progress(tx.conn, append.key)?;
    }
    head.save(tx, before)?;
    Ok(Appended::Now { last: head.last_seq })
}

/// Writes entries of a run with its blobs and checkpoints, and notes the operation. The head is to be saved afterwards.
pub fn write(
    tx: &mut Tx<'_>,
    head: &mut Head,
    append: &Append,
    entries: &[EntryBody],
) -> Result<()> {
    for entry in entries {
        head.append(tx, append.attempt, entry)?;
    }
    add_blobs(tx.conn, head.key.owner, &append.blobs)?;
    checkpoints::keep(tx, head.key, append.attempt, &append.checkpoints)?;
    (head.op_epoch, head.last_op) = (append.fence.epoch.0, append.op);
    Ok(())
}
