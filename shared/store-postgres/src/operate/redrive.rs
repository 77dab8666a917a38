//! Beginning the work of a dead task again: the new task and the mark on the dead letter are one commit.
//!
//! The dead letter is locked first, so that of two who redrive it one does. A repeat after a lost answer finds the mark, or the
//! dedupe key of the new task.

use crate::{
    db::Db,
    failure::{DbResult, Failure},
    intake::accept_new::{NewTask, accept_within},
    operate::dead::handled,
};
use longhaul_domain::TaskKey;
use longhaul_store::{Accepted, DeadLetterResolution, RedriveOutcome};
use sqlx_core::query::query;

/// Locks a dead letter.
pub const LOCK_DEAD_LETTER: &str = "-- store::lock_dead_letter
select redriven_as, dismissed from dead_letters where owner_id = $1 and task_id = $2 for update";

/// Marks it as redriven.
pub const MARK_REDRIVEN: &str = "-- store::mark_redriven
update dead_letters set redriven_as = $3 where owner_id = $1 and task_id = $2";

/// Redrives.
pub async fn redrive(db: &Db, dead: TaskKey, new: &NewTask) -> DbResult<RedriveOutcome> {
    let mut transaction = db.begin().await?;
    let lock = query(LOCK_DEAD_LETTER).bind(dead.owner.0).bind(dead.task.uuid());
    let Some(row) = lock.fetch_optional(&mut *transaction).await? else {
        return Ok(RedriveOutcome::NotDead);
    };
    match handled(&row)? {
        Some(DeadLetterResolution::Redriven(task)) => return Ok(RedriveOutcome::Already { task }),
        Some(DeadLetterResolution::Dismissed) => return Ok(RedriveOutcome::NotDead),
        None => {}
    }
    let task = match accept_within(&mut transaction, new).await? {
        Accepted::Created { .. } => new.accept.key.task,
        Accepted::Duplicate { task, .. } => task,
        Accepted::KeyReused => {
            return Err(Failure::Refused(
                "the key of the new task was used with other content".to_owned(),
            ));
        }
    };
    query(MARK_REDRIVEN)
        .bind(dead.owner.0)
        .bind(dead.task.uuid())
        .bind(task.uuid())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    db.signals.made([TaskKey { owner: dead.owner, task }]);
    Ok(RedriveOutcome::Now { task })
}
