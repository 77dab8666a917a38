//! Claims where no limits apply: one statement, repeated only if some owners have less than their
//! share.

use crate::{
    column::{agent, column, key},
    db::Db,
    error::DbResult,
    work::claim::read::ClaimedKey,
};
use longhaul_domain::{AgentName, OwnerId};
use longhaul_store::ClaimRequest;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Finds the owners whose turn it is, locks each owner's share in its order, and claims across
/// owners in turn.
///
/// Each owner is one index step from the one before, starting after the one served last and
/// wrapping around. Runs that others are claiming are skipped. Returns at least one row for each
/// agent with a runnable owner.
pub const CLAIM: &str = "-- store::claim
with recursive time as materialized (
    select clock_timestamp() as now
), slot as materialized (
    select s.agent, s.free, s.after, s.version, time.now
    from time
    join workers w on w.worker_id = $1 and w.lease_until >= time.now and w.lost_at is null
    cross join unnest($2::text[], $3::int8[], $4::int4[], $5::text[]) as s (agent, free, after, version)
), turn as (
    select agent, after as owner_id, after as start, 0 as lap, 0 as place from slot
    union all
    select t.agent, n.owner_id, t.start, n.lap, t.place + 1
    from turn t
    cross join lateral (
        (select o.owner_id, 0 as lap
        from (
            select r.agent, r.stage, r.owner_id
            from runs r
            where t.lap = 0 and r.worker is null and (r.agent, r.stage, r.owner_id) > (t.agent, 0::int2, t.owner_id)
            order by r.agent, r.stage, r.owner_id
            limit 1
        ) o
        where o.agent = t.agent and o.stage = 0)
        union all
        (select o.owner_id, 1
        from (
            select r.agent, r.stage, r.owner_id
            from runs r
            where r.worker is null
                and (r.agent, r.stage, r.owner_id) > (t.agent, 0::int2, case t.lap when 0 then -1 else t.owner_id end)
            order by r.agent, r.stage, r.owner_id
            limit 1
        ) o
        where o.agent = t.agent and o.stage = 0 and o.owner_id <= t.start)
        limit 1
    ) n
    where t.place < $6
), owner as materialized (
    select t.agent, t.owner_id, t.place, count(*) over (partition by t.agent) as owners from turn t where t.place > 0
), candidate as materialized (
    select o.agent, o.place, slot.free, slot.version, c.owner_id, c.task_id,
        row_number() over (partition by o.agent, o.place order by c.priority desc, c.run_at, c.task_id) as rank,
        (slot.free + o.owners - 1) / o.owners as share
    from slot
    join owner o on o.agent = slot.agent
    cross join lateral (
        select r.owner_id, r.task_id, r.priority, r.run_at
        from runs r
        where r.agent = slot.agent and r.stage = 0 and r.owner_id = o.owner_id and r.worker is null
            and r.run_at <= slot.now and (r.cancel_at is null or r.cancel_at > slot.now)
            and (r.deadline_at is null or r.deadline_at > slot.now)
            and (slot.version is null or r.version is null or r.version = slot.version)
        order by r.priority desc, r.run_at, r.task_id
        limit (slot.free + o.owners - 1) / o.owners
        for update of r skip locked
    ) c
), ranked as (
    select c.*, row_number() over (partition by c.agent order by c.rank, c.place) as of_agent from candidate c
), chosen as materialized (
    select r.owner_id, r.task_id, r.version, r.rank = r.share as more,
        row_number() over (order by r.rank, r.place, r.agent) as turn
    from ranked r
    where r.of_agent <= r.free
), claimed as (
    update runs r
    set worker = $1, token = ($7::uuid[])[chosen.turn], epoch = r.epoch + 1, queue_until = null,
        version = coalesce(chosen.version, r.version)
    from chosen
    where r.owner_id = any(array[chosen.owner_id]) and r.task_id = chosen.task_id and chosen.turn <= $8
    returning r.agent, r.owner_id, r.task_id, r.token, chosen.turn, chosen.more
)
select o.agent, o.owners, o.owner_id as last_owner, c.owner_id, c.task_id, c.token, c.more
from owner o
left join claimed c on c.agent = o.agent
where o.place = o.owners
order by c.turn";

/// Most repetitions of the statement, which redistribute what owners with less than their share
/// left over.
const MAX_FAST_ROUNDS: usize = 4;

/// Result of one round for an agent.
#[derive(Default)]
struct AgentRound {
    claimed: usize,
    /// Owner served last or, if none was, examined last.
    last: Option<OwnerId>,
    /// Set if there may be more runs.
    more: bool,
}

/// Claims at most one run per token; returns them in claim order.
pub async fn claim(
    db: &Db,
    connection: &mut PgConnection,
    request: &ClaimRequest,
    tokens: &[Uuid],
) -> DbResult<Vec<ClaimedKey>> {
    let mut free: BTreeMap<&AgentName, usize> =
        request.slots.iter().map(|slot| (&slot.agent, slot.free as usize)).collect();
    let mut claimed = Vec::new();
    for _ in 0..MAX_FAST_ROUNDS {
        let rows = claim_round(db, connection, request, &free, &tokens[claimed.len()..]).await?;
        let rounds = round_by_agent(&rows, tokens.len() - claimed.len())?;
        let mut more = false;
        for row in &rows {
            claimed.extend(claimed_key(row)?);
        }
        for (agent, round) in &rounds {
            // If other agents used up all tokens, this agent's owners have not had their turn.
            if let Some(last) =
                round.last.filter(|_| round.claimed > 0 || claimed.len() < tokens.len())
            {
                db.turns.record_served(agent, last);
            }
            if let Some(left) = free.get_mut(agent) {
                *left = left.saturating_sub(round.claimed);
                more |= round.more && *left > 0;
            }
        }
        if !more || claimed.len() >= tokens.len() {
            break;
        }
    }
    Ok(claimed)
}

async fn claim_round(
    db: &Db,
    connection: &mut PgConnection,
    request: &ClaimRequest,
    free: &BTreeMap<&AgentName, usize>,
    tokens: &[Uuid],
) -> DbResult<Vec<PgRow>> {
    let most = i64::try_from(tokens.len()).unwrap_or(i64::MAX);
    let left = |agent| i64::try_from(free.get(agent).copied().unwrap_or(0)).unwrap_or(i64::MAX);
    let slots: Vec<_> = request.slots.iter().filter(|slot| left(&slot.agent) > 0).collect();
    let rows = query(CLAIM)
        .bind(request.worker.uuid())
        .bind(slots.iter().map(|slot| slot.agent.as_str()).collect::<Vec<_>>())
        .bind(slots.iter().map(|slot| left(&slot.agent).min(most)).collect::<Vec<_>>())
        // Each process takes turns on its own; the random start spreads processes over the owners.
        .bind(slots.iter().map(|s| db.turns.start_after(&s.agent, &*db.ids).0).collect::<Vec<_>>())
        .bind(slots.iter().map(|slot| slot.pinned.as_deref()).collect::<Vec<_>>())
        .bind(i32::try_from(most).unwrap_or(i32::MAX))
        .bind(tokens)
        .bind(most)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// Run of a row, if it has one.
fn claimed_key(row: &PgRow) -> DbResult<Option<ClaimedKey>> {
    let token: Option<Uuid> = column(row, "token")?;
    token.map(|token| Ok(ClaimedKey { key: key(row)?, token })).transpose()
}

fn round_by_agent(rows: &[PgRow], most: usize) -> DbResult<BTreeMap<AgentName, AgentRound>> {
    let mut rounds: BTreeMap<AgentName, AgentRound> = BTreeMap::new();
    for row in rows {
        let round = rounds.entry(agent(row)?).or_default();
        if let Some(owner) = column::<Option<i32>>(row, "owner_id")? {
            round.claimed += 1;
            round.last = Some(OwnerId(owner));
            round.more |= column::<Option<bool>>(row, "more")?.unwrap_or_default();
        } else {
            // No examined owner had a claimable run; later owners may.
            round.last = Some(OwnerId(column(row, "last_owner")?));
            round.more = usize::try_from(column::<i64>(row, "owners")?).is_ok_and(|n| n >= most);
        }
    }
    Ok(rounds)
}
