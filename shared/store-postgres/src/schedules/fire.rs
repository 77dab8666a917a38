//! Firing: the task and the next time are one commit, guarded by the revision that was read, so that of any number of nodes one
//! does. A repeat after a lost answer finds the task by its dedupe key.

use crate::{
    db::Db,
    failure::DbResult,
    intake::{
        accept_new::{NewTask, accept_within},
        known::known,
    },
};
use longhaul_domain::Timestamp;
use longhaul_store::{Accepted, FireOutcome, FireSchedule};
use sqlx_core::query::query;

/// Locks a schedule, if nobody has changed it since it was read.
pub const LOCK_SCHEDULE: &str = "-- store::lock_schedule
select revision from schedules where owner_id = $1 and name = $2 and revision = $3 for update";

/// Sets the next time, and what was made now, if anything was.
pub const SET_FIRED: &str = "-- store::set_fired
update schedules
set next_at = $3, last_at = coalesce($4, last_at), last_task = coalesce($5, last_task), revision = revision + 1
where owner_id = $1 and name = $2";

/// A wish to fire, with the task in the form in which it is written.
pub struct Firing {
    /// What was asked, but for the task.
    fire: FireSchedule,
    /// For which time, and the task.
    task: Option<(Timestamp, NewTask)>,
}

impl From<FireSchedule> for Firing {
    fn from(mut fire: FireSchedule) -> Self {
        let task = fire.task.take().map(|(at, new)| (at, NewTask::from(new)));
        Self { fire, task }
    }
}

/// Fires.
pub async fn fire(db: &Db, Firing { fire, task }: &Firing) -> DbResult<FireOutcome> {
    let mut transaction = db.begin().await?;
    let lock = query(LOCK_SCHEDULE).bind(fire.owner.0).bind(&fire.name).bind(fire.revision);
    if lock.fetch_optional(&mut *transaction).await?.is_none() {
        let Some((_, new)) = task else { return Ok(FireOutcome::Outdated) };
        let wanted = [(new.accept.key.owner, new.accept.accept.dedupe)];
        let known = known(&mut transaction, &wanted).await?.into_values().next();
        // Task ids are made for one try: whoever made this task was an earlier try of this very call.
        return Ok(match known.filter(|known| known.task == new.accept.key.task) {
            Some(known) => {
                FireOutcome::Now(Some(Accepted::Created { at: known.created_at, seq: known.seq }))
            }
            None => FireOutcome::Outdated,
        });
    }
    let accepted = match task {
        Some((_, new)) => Some(accept_within(&mut transaction, new).await?),
        None => None,
    };
    let made = task.as_ref().zip(accepted.as_ref()).map(|((at, new), accepted)| {
        let task = match accepted {
            Accepted::Duplicate { task, .. } => *task,
            Accepted::Created { .. } | Accepted::KeyReused => new.accept.key.task,
        };
        (*at, task)
    });
    let made = made.filter(|_| accepted != Some(Accepted::KeyReused));
    query(SET_FIRED)
        .bind(fire.owner.0)
        .bind(&fire.name)
        .bind(fire.next_at)
        .bind(made.map(|(at, _)| at))
        .bind(made.map(|(_, task)| task.uuid()))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    if let (Some((_, new)), Some(Accepted::Created { .. })) = (task, &accepted) {
        db.signals.made([new.accept.key]);
    }
    Ok(FireOutcome::Now(accepted))
}
