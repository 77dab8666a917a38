//! Reads claimed runs. The first message is included if it is small and the only entry; each run
//! reads its own history later, so one with a long history delays no other.

use crate::{
    column::{agent, body, column, context, key, seq, state},
    error::{DbError, DbResult},
};
use longhaul_domain::{EntryBody, Epoch, Fence, TaskKey, log::UserMessage};
use longhaul_store::{ClaimedRun, MAX_OPENING_BYTES};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::time::Duration;
use uuid::Uuid;

/// Reads claimed runs in claim order. Each table is reached by key from the row before, whatever
/// the statistics say, because a queue changes from one moment to the next.
pub const READ_CLAIMED: &str = "-- store::read_claimed
select r.owner_id, r.task_id, r.agent, r.epoch, r.token, r.attempt, r.trace, r.cancel_at is not null as cancel, r.losses,
    greatest(0, extract(epoch from clock_timestamp() - r.run_at) * 1000)::int8 as waited_ms,
    t.context_id, t.created_at, s.state, s.last_seq, s.message_seq, s.turn, s.deadline_at,
    case when s.deadline_at is not null then greatest(0, extract(epoch from s.deadline_at - clock_timestamp()) * 1000)::int8 end
        as deadline_ms,
    m.kind, m.schema, m.body,
    exists (
        select from checkpoints c where c.owner_id = r.owner_id and c.task_id = r.task_id offset 0
    ) as has_checkpoints
from unnest($1::int4[], $2::uuid[], $3::uuid[]) with ordinality as c (owner_id, task_id, token, place)
cross join lateral (
    select * from runs r where r.owner_id = c.owner_id and r.task_id = c.task_id and r.token = c.token offset 0
) r
cross join lateral (
    select t.context_id, t.created_at from tasks t where t.owner_id = c.owner_id and t.task_id = c.task_id offset 0
) t
cross join lateral (
    select s.state, s.last_seq, s.turn, s.deadline_at, s.message_seq
    from task_state s where s.owner_id = c.owner_id and s.task_id = c.task_id offset 0
) s
left join lateral (
    select l.kind, l.schema, l.body::text as body
    from log l
    where s.last_seq = 1 and l.owner_id = c.owner_id and l.task_id = c.task_id and l.seq = 1
        and case when pg_column_size(l.body) <= $4 then octet_length(l.body::text) <= $4 else false end
    offset 0
) m on true
order by c.place";

/// A claimed run with its token.
#[derive(Debug, Clone, Copy)]
pub struct ClaimedKey {
    /// Task of the run.
    pub key: TaskKey,
    /// Token of the claim.
    pub token: Uuid,
}

/// Reads claimed runs, and the tokens of those that are unreadable.
pub async fn read_claimed(
    connection: &mut PgConnection,
    keys: &[ClaimedKey],
) -> DbResult<(Vec<ClaimedRun>, Vec<(Uuid, DbError)>)> {
    let rows = query(READ_CLAIMED)
        .bind(keys.iter().map(|run| run.key.owner.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|run| run.key.task.uuid()).collect::<Vec<_>>())
        .bind(keys.iter().map(|run| run.token).collect::<Vec<_>>())
        .bind(i32::try_from(MAX_OPENING_BYTES).unwrap_or(i32::MAX))
        .fetch_all(&mut *connection)
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in &rows {
        match ClaimedRow::try_from(row) {
            Ok(ClaimedRow(run)) => claimed.push(run),
            // The run is released and postponed; the other runs are handed out.
            Err(failure) => unreadable.push((column::<Uuid>(row, "token")?, failure)),
        }
    }
    Ok((claimed, unreadable))
}

/// A claimed run decoded from a row.
struct ClaimedRow(ClaimedRun);

impl TryFrom<&PgRow> for ClaimedRow {
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let waited: i64 = column(row, "waited_ms")?;
        Ok(Self(ClaimedRun {
            key: key(row)?,
            agent: agent(row)?,
            context: context(row)?,
            created_at: column(row, "created_at")?,
            fence: Fence { epoch: Epoch(column(row, "epoch")?), token: column(row, "token")? },
            attempt: column(row, "attempt")?,
            turn: column(row, "turn")?,
            state: state(row)?,
            last_seq: seq(row, "last_seq")?,
            message_seq: seq(row, "message_seq")?,
            opening: opening(row)?,
            cancel: column(row, "cancel")?,
            waited: Duration::from_millis(waited.unsigned_abs()),
            trace: column(row, "trace")?,
            deadline: column(row, "deadline_at")?,
            deadline_in: column::<Option<i64>>(row, "deadline_ms")?
                .map(|millis| Duration::from_millis(millis.unsigned_abs())),
            has_checkpoints: column(row, "has_checkpoints")?,
            losses: column(row, "losses")?,
        }))
    }
}

/// First message, if it was included.
fn opening(row: &PgRow) -> DbResult<Option<UserMessage>> {
    if column::<Option<&str>>(row, "body")?.is_none() {
        return Ok(None);
    }
    match body(row)? {
        EntryBody::Message(user) => Ok(Some(user)),
        _ => Err(DbError::corrupt("task_state.message_seq", "not a message")),
    }
}
