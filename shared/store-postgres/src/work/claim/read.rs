//! What the executors of claimed runs need to begin.

use crate::{
    column::{agent, body, column, context, key, seq, state},
    failure::{DbResult, Failure},
    reading::messages::{MessagesOf, Speech, messages},
    work::claim::Taken,
};
use longhaul_domain::{EntryBody, Epoch, Fence, HistoryItem, Message, Seq, log::UserMessage};
use longhaul_store::{Claimed, SnapshotOptions};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// Claimed runs, in the order in which they were handed out. Each row is reached from the one before by its key, whatever the
/// statistics say: a queue looks different from one moment to the next.
pub const CLAIMED: &str = "-- store::claimed
select r.owner_id, r.task_id, r.agent, r.epoch, r.token, r.attempt, r.trace, r.cancel_at is not null as cancel, r.losses,
    greatest(0, extract(epoch from clock_timestamp() - r.run_at) * 1000)::int8 as waited_ms,
    t.context_id, t.created_at, s.state, s.last_seq, s.turn, s.deadline_at, m.kind, m.schema, m.body::text as body,
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
    select l.kind, l.schema, l.body
    from log l where l.owner_id = c.owner_id and l.task_id = c.task_id and l.seq = s.message_seq offset 0
) m on true
order by c.place";

/// What was claimed, and the tokens of what cannot be read.
pub async fn claimed(
    connection: &mut PgConnection,
    taken: &[Taken],
) -> DbResult<(Vec<Claimed>, Vec<(Uuid, Failure)>)> {
    let rows = query(CLAIMED)
        .bind(taken.iter().map(|run| run.key.owner.0).collect::<Vec<_>>())
        .bind(taken.iter().map(|run| run.key.task.uuid()).collect::<Vec<_>>())
        .bind(taken.iter().map(|run| run.token).collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in &rows {
        match ClaimedRow::try_from(row) {
            Ok(run) => claimed.push(run),
            Err(failure) => unreadable.push((column::<Uuid>(row, "token")?, failure)),
        }
    }
    // A log of one entry is its first message.
    let wanted: Vec<MessagesOf> = claimed
        .iter()
        .filter(|ClaimedRow { run, .. }| run.last_seq > FIRST)
        .map(|ClaimedRow { run, .. }| MessagesOf {
            key: run.key,
            up_to: run.last_seq,
            except: Seq::START,
        })
        .collect();
    let mut histories = if wanted.is_empty() {
        HashMap::new()
    } else {
        messages(connection, &wanted, SnapshotOptions::DEFAULT_HISTORY).await?
    };
    let mut complete = Vec::with_capacity(claimed.len());
    for ClaimedRow { mut run, said } in claimed {
        if run.last_seq <= FIRST {
            run.history.push(HistoryItem { seq: run.last_seq, message: said });
            complete.push(run);
            continue;
        }
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

/// The entry of the first message.
const FIRST: Seq = Seq(1);

/// The client's last message, however much the agent has said since.
fn said(row: &PgRow) -> DbResult<UserMessage> {
    match body(row)? {
        EntryBody::Message(user) => Ok(user),
        _ => Err(Failure::corrupt("task_state.message_seq", "not a message")),
    }
}

/// A claimed run without its history.
struct ClaimedRow {
    run: Claimed,
    /// The client's last message.
    said: Message,
}

impl TryFrom<&PgRow> for ClaimedRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let waited: i64 = column(row, "waited_ms")?;
        let said = said(row)?;
        let run = Claimed {
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
            request_metadata: said.request_metadata,
            accepted_output_modes: said.accepted_output_modes,
            cancel: column(row, "cancel")?,
            waited: Duration::from_millis(waited.unsigned_abs()),
            trace: column(row, "trace")?,
            deadline: column(row, "deadline_at")?,
            has_checkpoints: column(row, "has_checkpoints")?,
            losses: column(row, "losses")?,
        };
        Ok(Self { run, said: said.message })
    }
}
