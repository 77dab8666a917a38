//! Tasks that fail are listed as dead in the step in which they fail, whoever decides it.

use crate::{failure::DbResult, write::LockedTask};
use sqlx_core::query::query;
use sqlx_postgres::PgConnection;

/// Lists tasks as dead.
pub const BURY: &str = "-- store::bury
insert into dead_letters (owner_id, task_id, agent, at, because, cause, attempts)
select * from unnest($1::int4[], $2::uuid[], $3::text[], $4::timestamptz[], $5::int2[], $6::text[], $7::int4[])
on conflict do nothing";

/// Lists those of the tasks that have failed just now.
pub async fn bury(connection: &mut PgConnection, tasks: &[LockedTask]) -> DbResult<()> {
    let dead: Vec<_> =
        tasks.iter().filter_map(|task| task.dead.as_ref().map(|dead| (task, dead))).collect();
    if dead.is_empty() {
        return Ok(());
    }
    query(BURY)
        .bind(dead.iter().map(|(task, _)| task.key.owner.0).collect::<Vec<_>>())
        .bind(dead.iter().map(|(task, _)| task.key.task.uuid()).collect::<Vec<_>>())
        .bind(dead.iter().map(|(task, _)| task.agent.as_str()).collect::<Vec<_>>())
        .bind(dead.iter().map(|(task, _)| task.status_at).collect::<Vec<_>>())
        .bind(dead.iter().map(|(_, dead)| dead.because.number()).collect::<Vec<_>>())
        .bind(dead.iter().map(|(_, dead)| dead.cause.as_str()).collect::<Vec<_>>())
        .bind(dead.iter().map(|(_, dead)| dead.attempts).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
