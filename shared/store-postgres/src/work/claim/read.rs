//! What the executors of claimed runs need to begin.

use crate::{
    column::{agent, body, column, context, key, seq, state},
    failure::{DbResult, Failure},
    reading::messages::{MessagesOf, Speech, messages},
};
use longhaul_domain::{EntryBody, Epoch, Fence, HistoryItem, JsonObject, Seq};
use longhaul_store::{ClaimRequest, Claimed, SnapshotOptions};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::time::Duration;
use uuid::Uuid;

/// Claimed runs, in the order in which they were handed out.
pub const CLAIMED: &str = "-- store::claimed
select r.owner_id, r.task_id, r.agent, r.epoch, r.token, r.attempt, r.trace, r.cancel_at is not null as cancel, r.losses,
    greatest(0, extract(epoch from clock_timestamp() - r.run_at) * 1000)::int8 as waited_ms,
    t.context_id, t.created_at, s.state, s.last_seq, s.turn, s.deadline_at, m.kind, m.schema, m.body::text as body,
    exists (
        select from checkpoints c where c.owner_id = r.owner_id and c.task_id = r.task_id offset 0
    ) as has_checkpoints
from runs r
join tasks t on t.owner_id = r.owner_id and t.task_id = r.task_id
join task_state s on s.owner_id = r.owner_id and s.task_id = r.task_id
left join log m on m.owner_id = s.owner_id and m.task_id = s.task_id and m.seq = s.message_seq
where r.worker = $1 and r.token = any($2)
order by array_position($2, r.token)";

/// What was claimed, and the tokens of what cannot be read.
pub async fn claimed(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    tokens: &[Uuid],
) -> DbResult<(Vec<Claimed>, Vec<(Uuid, Failure)>)> {
    let worker = request.worker.uuid();
    let rows = query(CLAIMED).bind(worker).bind(tokens).fetch_all(&mut *connection).await?;
    let mut claimed = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in &rows {
        match ClaimedRow::try_from(row) {
            Ok(run) => claimed.push(run.0),
            Err(failure) => unreadable.push((column::<Uuid>(row, "token")?, failure)),
        }
    }
    let wanted: Vec<MessagesOf> = claimed
        .iter()
        .map(|run| MessagesOf { key: run.key, up_to: run.last_seq, except: Seq::START })
        .collect();
    let mut histories = messages(connection, &wanted, SnapshotOptions::DEFAULT_HISTORY).await?;
    let mut complete = Vec::with_capacity(claimed.len());
    for mut run in claimed {
        match histories.remove(&run.key).unwrap_or_else(|| Ok(Vec::new())) {
            Ok(speech) => {
                add_history(&mut run, speech);
                complete.push(run);
            }
            Err(failure) => unreadable.push((run.fence.token, failure)),
        }
    }
    Ok((complete, unreadable))
}

fn add_history(run: &mut Claimed, speech: Speech) {
    for (seq, body) in speech {
        let message = match body {
            EntryBody::Message(user) => Some(user.message),
            EntryBody::Status(change) => change.message,
            EntryBody::Artifact(_) | EntryBody::Note(_) => None,
        };
        run.history.extend(message.map(|message| HistoryItem { seq, message }));
    }
}

/// Of the client's last message, however much the agent has said since.
fn request_metadata(row: &PgRow) -> DbResult<Option<JsonObject>> {
    match body(row)? {
        EntryBody::Message(user) => Ok(user.request_metadata),
        _ => Err(Failure::corrupt("task_state.message_seq", "not a message")),
    }
}

struct ClaimedRow(Claimed);

impl TryFrom<&PgRow> for ClaimedRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let waited: i64 = column(row, "waited_ms")?;
        Ok(Self(Claimed {
            key: key(row)?,
            agent: agent(row)?,
            context: context(row)?,
            created_at: column(row, "created_at")?,
            fence: Fence { epoch: Epoch(column(row, "epoch")?), token: column(row, "token")? },
            attempt: column(row, "attempt")?,
            turn: column(row, "turn")?,
            state: state(row)?,
            last_seq: seq(row, "last_seq")?,
            history: Vec::new(),
            request_metadata: request_metadata(row)?,
            cancel: column(row, "cancel")?,
            waited: Duration::from_millis(waited.unsigned_abs()),
            trace: column(row, "trace")?,
            deadline: column(row, "deadline_at")?,
            has_checkpoints: column(row, "has_checkpoints")?,
            losses: column(row, "losses")?,
        }))
    }
}
