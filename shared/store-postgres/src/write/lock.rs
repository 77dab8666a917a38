//! Locks the rows of a batch and reads them.

use crate::{
    column::{agent, column, context, key, seq, state},
    error::{DbError, DbResult},
    write::{LockedTask, RunRow, RunStage},
};
use longhaul_domain::TaskKey;
use longhaul_store::TaskUsage;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Locks and reads runs and states.
///
/// All transactions lock rows in this order (runs, then states, by key), so they cannot deadlock.
/// The condition on the count makes the second list wait for the first. Rows are returned as
/// locked, not as of the statement's snapshot.
pub const LOCK_TASKS: &str = "-- store::lock_tasks
with wanted as materialized (
    select owner_id, task_id from unnest($1::int4[], $2::uuid[]) as w (owner_id, task_id) order by owner_id, task_id
), run as materialized (
    select r.*
    from wanted w
    cross join lateral (
        select r.owner_id, r.task_id, r.epoch, r.run_at, r.token, r.worker, r.attempt, r.losses, r.handed_back,
            r.cancel_at, r.trace, r.stage, r.queue_until, r.version
        from runs r
        where r.owner_id = w.owner_id and r.task_id = w.task_id
        offset 0
        for update of r
    ) r
), state as materialized (
    select s.*
    from wanted w
    cross join lateral (
        select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, s.message_seq, s.turn, s.epoch,
            s.op_epoch, s.last_op, s.settle_token, s.deadline_at, s.version, s.follow_ups, s.follow_up_bytes
        from task_state s
        where s.owner_id = w.owner_id and s.task_id = w.task_id
        offset 0
        for update of s
    ) s
    where (select count(*) from run) >= 0
)
select s.owner_id, s.task_id, s.state, s.status_at, s.status_seq, s.last_seq, s.message_seq, s.turn, s.epoch, s.op_epoch,
    s.last_op, s.settle_token, s.deadline_at, s.version, s.follow_ups, s.follow_up_bytes, t.agent, t.context_id, t.priority, t.queue_timeout_ms,
    t.concurrency_key, date_trunc('milliseconds', clock_timestamp()) as now, r.epoch as run_epoch, r.run_at, r.token,
    r.worker, r.attempt, r.losses, r.handed_back, r.cancel_at, r.trace, r.stage, r.queue_until, r.version as run_version
from state s
cross join lateral (
    select t.agent, t.context_id, t.priority, t.queue_timeout_ms, t.concurrency_key
    from tasks t where t.owner_id = s.owner_id and t.task_id = s.task_id offset 0
) t
left join run r on r.owner_id = s.owner_id and r.task_id = s.task_id";

/// Locks these tasks. Tasks that do not exist are missing in the result.
pub async fn lock_tasks(
    connection: &mut PgConnection,
    keys: impl IntoIterator<Item = TaskKey>,
) -> DbResult<BTreeMap<TaskKey, LockedTask>> {
    // Sorted, because the statement locks in this order.
    let keys: BTreeSet<TaskKey> = keys.into_iter().collect();
    let (owners, tasks): (Vec<i32>, Vec<Uuid>) =
        keys.iter().map(|key| (key.owner.0, key.task.uuid())).unzip();
    let rows = query(LOCK_TASKS).bind(owners).bind(tasks).fetch_all(connection).await?;
    rows.iter().map(|row| LockedTask::try_from(row).map(|task| (task.key, task))).collect()
}

impl TryFrom<&PgRow> for LockedTask {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let run = run_row(row)?;
        Ok(Self {
            key: key(row)?,
            agent: agent(row)?,
            context: context(row)?,
            priority: column(row, "priority")?,
            queue_timeout_ms: column(row, "queue_timeout_ms")?,
            concurrency_key: column(row, "concurrency_key")?,
            deadline: column(row, "deadline_at")?,
            version: column(row, "version")?,
            now: column(row, "now")?,
            state: state(row)?,
            status_at: column(row, "status_at")?,
            status_seq: seq(row, "status_seq")?,
            last_seq: seq(row, "last_seq")?,
            message_seq: seq(row, "message_seq")?,
            turn: column(row, "turn")?,
            epoch: column(row, "epoch")?,
            op_epoch: column(row, "op_epoch")?,
            last_op: column(row, "last_op")?,
            settle_token: column(row, "settle_token")?,
            follow_ups: follow_up_usage(row)?,
            run_before: run.clone(),
            run,
            new_entries: Vec::new(),
            failure: None,
        })
    }
}

fn follow_up_usage(row: &PgRow) -> DbResult<TaskUsage> {
    let messages = column::<Option<i32>>(row, "follow_ups")?.unwrap_or_default();
    let bytes = column::<Option<i64>>(row, "follow_up_bytes")?.unwrap_or_default();
    Ok(TaskUsage { messages: messages.unsigned_abs(), bytes: bytes.unsigned_abs() })
}

fn run_row(row: &PgRow) -> DbResult<Option<RunRow>> {
    // A left join: no epoch means no run.
    let Some(epoch) = column::<Option<i32>>(row, "run_epoch")? else { return Ok(None) };
    let token: Option<Uuid> = column(row, "token")?;
    let worker: Option<Uuid> = column(row, "worker")?;
    Ok(Some(RunRow {
        due: column(row, "run_at")?,
        stage: run_stage(row)?,
        queue_until: column(row, "queue_until")?,
        epoch,
        holder: token.zip(worker),
        attempt: column(row, "attempt")?,
        losses: column(row, "losses")?,
        handed_back: column(row, "handed_back")?,
        cancel_at: column(row, "cancel_at")?,
        trace: column(row, "trace")?,
        version: column(row, "run_version")?,
    }))
}

fn run_stage(row: &PgRow) -> DbResult<RunStage> {
    let number: i16 = column(row, "stage")?;
    RunStage::from_number(number)
        .ok_or_else(|| DbError::corrupt("column stage", format!("{number} is no stage")))
}
