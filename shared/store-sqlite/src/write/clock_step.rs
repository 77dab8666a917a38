//! A clock that was set back: waits that were told in lengths of time go on as long as they would have.
//!
//! A retry in one second is kept as a time of the clock as it was; by the clock as it is now it would come an hour too late.
//! What was told as a time (a deadline, the time before which a task must not start) stays that time.

use crate::{
    db::{self, statements},
    error::Result,
    time::Step,
};
use rusqlite::{Connection, named_params};

statements! {
    // A run that was claimed before waits for its next attempt. One of a task from more than a day ahead was accepted by a
    // clock that was wrong, and no client has told a time that late.
    SHIFT_RUNS = "-- store::follow_clock
        UPDATE runs SET run_at = run_at - :back
        WHERE worker IS NULL AND stage = 1 AND run_at > :before
          AND (epoch > 0 OR EXISTS (SELECT 1 FROM tasks t
                                    WHERE t.owner_id = runs.owner_id AND t.task = runs.task AND t.created_at > :ahead))";
    SHIFT_QUEUE_TIMEOUTS = "-- store::follow_clock
        UPDATE runs SET queue_until = queue_until - :back WHERE queue_until > :before";
    SHIFT_CANCELS = "-- store::follow_clock
        UPDATE runs SET cancel_at = cancel_at - :back WHERE cancel_at > :before";
}

/// A day, in milliseconds.
const DAY: i64 = 24 * 3_600 * 1_000;

/// Moves what is relative to the clock along with it, in the transaction that is open.
pub fn follow(conn: &Connection, step: Step) -> Result<()> {
    let Step { before, back } = step;
    let ahead = before.saturating_sub(back).saturating_add(DAY);
    db::run(conn, SHIFT_RUNS, named_params! { ":before": before, ":back": back, ":ahead": ahead })?;
    for shift in [SHIFT_QUEUE_TIMEOUTS, SHIFT_CANCELS] {
        db::run(conn, shift, named_params! { ":before": before, ":back": back })?;
    }
    Ok(())
}
