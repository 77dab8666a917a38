//! Handing out runs.
//!
//! A claim assigns no place in a log, so its commit does not wait for the disk: one that a crash of the database forgets was
//! never made, and its token, random per claim, is worth nothing afterwards. Tokens are made before the claim; when its
//! answer is lost, the runs are found again by them, or given back before the next claim of this process.

use crate::{
    column::{agent, column, context, key, seq, state},
    db::Db,
    failure::{DbResult, Failure},
    reading::messages::{MessagesOf, Speech, messages},
    replay::retried,
};
use longhaul_domain::{EntryBody, Epoch, Fence, HistoryItem, Seq};
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
    t.context_id, t.created_at, s.state, s.last_seq, s.turn
from runs r
join tasks t on t.owner_id = r.owner_id and t.task_id = r.task_id
join task_state s on s.owner_id = r.owner_id and s.task_id = r.task_id
where r.worker = $1 and r.token = any($2)
order by r.priority desc, r.run_at, r.task_id";

/// Gives runs back whose claim nobody knows of.
pub const UNCLAIM: &str = "-- store::unclaim
update runs set worker = null, token = null, epoch = epoch + 1
where worker is not null and token = any($1)";

/// Gives runs back that cannot be read, not to be claimed for a minute.
pub const POSTPONE: &str = "-- store::postpone
update runs
set worker = null, token = null, epoch = epoch + 1, run_at = clock_timestamp() + interval '1 minute'
where worker is not null and token = any($1)";

/// Runs one batch. Claims wait for no disk, so what a batch shares is its connection.
pub async fn run(db: Arc<Db>, requests: Vec<ClaimRequest>) -> Vec<Result<Vec<Claimed>>> {
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in &requests {
        outcomes.push(claim(&db, request).await.map_err(Into::into));
    }
    outcomes
}

async fn claim(db: &Db, request: &ClaimRequest) -> DbResult<Vec<Claimed>> {
    give_back_lost(db).await?;
    let free = request.slots.iter().map(|slot| u64::from(slot.free)).sum::<u64>();
    let most = usize::try_from(free.min(u64::from(request.limit))).unwrap_or(usize::MAX);
    let tokens: Vec<Uuid> = (0..most).map(|_| db.ids.token()).collect();
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let attempt = std::sync::atomic::AtomicU32::new(0);
    let claimed = retried(|| async {
        let mut connection = db.relaxed.acquire().await?;
        let again = attempt.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
        if again {
            let found = claimed(&mut connection, request, &tokens).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        if take(&mut connection, request, &tokens).await? == 0 {
            return Ok(Vec::new());
        }
        claimed(&mut connection, request, &tokens).await
    })
    .await;
    claimed.inspect_err(|_| db.lose_claims(tokens.iter().copied()))
}

async fn give_back_lost(db: &Db) -> DbResult<()> {
    let lost = db.take_lost_claims();
    if lost.is_empty() {
        return Ok(());
    }
    let given = query(UNCLAIM).bind(&lost).execute(&db.relaxed).await;
    given.map(drop).map_err(Failure::from).inspect_err(|_| db.lose_claims(lost))
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

async fn claimed(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    tokens: &[Uuid],
) -> DbResult<Vec<Claimed>> {
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
    if !unreadable.is_empty() {
        postpone(connection, unreadable).await?;
    }
    Ok(complete)
}

/// Puts runs off that cannot be read, so that they hold nobody up.
async fn postpone(connection: &mut PgConnection, unreadable: Vec<(Uuid, Failure)>) -> DbResult<()> {
    for (_, failure) in &unreadable {
        tracing::error!(?failure, "a run cannot be read and is put off");
    }
    let tokens: Vec<Uuid> = unreadable.into_iter().map(|(token, _)| token).collect();
    query(POSTPONE).bind(tokens).execute(connection).await?;
    Ok(())
}

fn add_history(run: &mut Claimed, speech: Speech) {
    for (seq, body) in speech {
        let message = match body {
            EntryBody::Message(user) => {
                run.request_metadata = user.request_metadata;
                Some(user.message)
            }
            EntryBody::Status(change) => change.message,
            EntryBody::Artifact(_) | EntryBody::Note(_) => None,
        };
        run.history.extend(message.map(|message| HistoryItem { seq, message }));
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
            request_metadata: None,
            cancel: column(row, "cancel")?,
            waited: Duration::from_millis(waited.unsigned_abs()),
            trace: column(row, "trace")?,
        }))
    }
}
