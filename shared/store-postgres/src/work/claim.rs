//! Handing out runs.
//!
//! A claim assigns no place in a log, so its commit does not wait for the disk: one that a crash of the database forgets was
//! never made, and its token, random per claim, is worth nothing afterwards. Tokens are made before the claim, new ones for
//! each try; when an answer is lost, the runs are given back by them (see [`lost`]).

use crate::{
    column::{agent, body, column, context, key, seq, state},
    db::Db,
    failure::{DbResult, Failure},
    reading::messages::{MessagesOf, Speech, messages},
    replay::retried_briefly,
    work::lost::{self, InFlight},
};
use longhaul_domain::{EntryBody, Epoch, Fence, HistoryItem, JsonObject, Seq};
use longhaul_store::{ClaimRequest, Claimed, Result, SnapshotOptions};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Locks candidates of every agent in fair order, skips those that others are claiming, and takes the fairest of all.
pub const CLAIM: &str = "-- store::claim
with time as materialized (
    select clock_timestamp() as now
), candidate as materialized (
    select c.owner_id, c.task_id, c.priority, c.run_at
    from time
    join workers w on w.worker_id = $1 and w.lease_until >= time.now
    cross join unnest($2::text[], $3::int8[]) as slot (agent, free)
    cross join lateral (
        select r.owner_id, r.task_id, r.priority, r.run_at
        from runs r
        where r.agent = slot.agent and r.worker is null and r.run_at <= time.now
            and (r.cancel_at is null or r.cancel_at > time.now)
        order by r.priority desc, r.run_at, r.task_id
        limit slot.free
        for update of r skip locked
    ) c
), chosen as materialized (
    select owner_id, task_id, row_number() over (order by priority desc, run_at, task_id) as place from candidate
)
update runs r
set worker = $1, token = ($5::uuid[])[chosen.place], epoch = r.epoch + 1
from chosen
where r.owner_id = chosen.owner_id and r.task_id = chosen.task_id and chosen.place <= $4
returning r.token";

/// What the executors of claimed runs need to begin.
pub const CLAIMED: &str = "-- store::claimed
select r.owner_id, r.task_id, r.agent, r.epoch, r.token, r.attempt, r.trace, r.cancel_at is not null as cancel,
    greatest(0, extract(epoch from clock_timestamp() - r.run_at) * 1000)::int8 as waited_ms,
    t.context_id, t.created_at, s.state, s.last_seq, s.turn, m.kind, m.schema, m.body::text as body
from runs r
join tasks t on t.owner_id = r.owner_id and t.task_id = r.task_id
join task_state s on s.owner_id = r.owner_id and s.task_id = r.task_id
left join log m on m.owner_id = s.owner_id and m.task_id = s.task_id and m.seq = s.message_seq
where r.worker = $1 and r.token = any($2)
order by r.priority desc, r.run_at, r.task_id";

/// Gives runs back that cannot be read, not to be claimed for a minute. What others have locked is left out.
pub const POSTPONE: &str = "-- store::postpone
with unreadable as materialized (
    select r.owner_id, r.task_id
    from runs r
    where r.worker = $1 and r.token = any($2)
    order by r.owner_id, r.task_id
    for update skip locked
)
update runs r
set worker = null, token = null, epoch = r.epoch + 1, run_at = clock_timestamp() + interval '1 minute'
from unreadable u
where r.owner_id = u.owner_id and r.task_id = u.task_id";

/// Runs one batch. Claims wait for no disk, so what a batch shares is its connection.
pub async fn run(db: Arc<Db>, requests: Vec<ClaimRequest>) -> Vec<Result<Vec<Claimed>>> {
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in &requests {
        outcomes.push(claim(&db, request).await.map_err(Into::into));
    }
    outcomes
}

async fn claim(db: &Db, request: &ClaimRequest) -> DbResult<Vec<Claimed>> {
    let free = request.slots.iter().map(|slot| u64::from(slot.free)).sum::<u64>();
    let most = usize::try_from(free.min(u64::from(request.limit))).unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(Vec::new());
    }
    retried_briefly(|| async {
        lost::give_back(db).await?;
        let mut connection = db.relaxed.acquire().await?;
        // A try before this one may be carried out yet, and must not share its tokens.
        let tokens = (0..most).map(|_| db.ids.token()).collect();
        let flight = db.lost.in_flight(request.worker, tokens);
        try_to_claim(&mut connection, request, flight).await
    })
    .await
}

async fn try_to_claim(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    flight: InFlight<'_>,
) -> DbResult<Vec<Claimed>> {
    if take(connection, request, flight.tokens()).await? == 0 {
        flight.landed(Vec::new());
        return Ok(Vec::new());
    }
    let (runs, unreadable) = claimed(connection, request, flight.tokens()).await?;
    let unreadable = postpone(connection, request, unreadable).await?;
    flight.landed(unreadable);
    Ok(runs)
}

async fn take(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    tokens: &[Uuid],
) -> DbResult<usize> {
    let (agents, free): (Vec<&str>, Vec<i64>) =
        request.slots.iter().map(|slot| (slot.agent.as_str(), i64::from(slot.free))).unzip();
    let rows = query(CLAIM)
        .bind(request.worker.uuid())
        .bind(agents)
        .bind(free)
        .bind(i64::from(request.limit))
        .bind(tokens)
        .fetch_all(connection)
        .await?;
    Ok(rows.len())
}

/// What was claimed, and the tokens of what cannot be read.
async fn claimed(
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

/// Puts runs off that cannot be read, so that they hold nobody up. Gives their tokens, as somebody may have locked one.
async fn postpone(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    unreadable: Vec<(Uuid, Failure)>,
) -> DbResult<Vec<Uuid>> {
    if unreadable.is_empty() {
        return Ok(Vec::new());
    }
    for (_, failure) in &unreadable {
        tracing::error!(?failure, "a run cannot be read and is put off");
    }
    let tokens: Vec<Uuid> = unreadable.into_iter().map(|(token, _)| token).collect();
    query(POSTPONE).bind(request.worker.uuid()).bind(&tokens).execute(connection).await?;
    Ok(tokens)
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
        }))
    }
}
