//! Claims where an agent's runs are limited, one claim per agent at a time over all nodes.
//!
//! One transaction: take the agent's lock, count claimed runs, choose, claim. Runs that were not
//! chosen stay ready, except those whose concurrency key is in use: they are held back, so that
//! they do not block later claims, until a run that uses the key ends.
//!
//! Holding back first locks the rows of the runs that use the key, so that none of them can end
//! unnoticed; if another transaction has one, the run stays ready. No statement here waits for a
//! row, so there is no deadlock.

use crate::{
    column::{agent, column, key},
    db::Db,
    error::{DbError, DbResult},
    work::claim::{
        choose::{AgentOffer, ClaimCandidate, ClaimPlan, RunningCounts, plan_claims},
        read::ClaimedKey,
    },
};
use longhaul_domain::{AgentName, OwnerId};
use longhaul_store::{AgentSlots, ClaimRequest};
use sqlx_core::{connection::Connection, query::query};
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Serialises claims of these agents until the end of the transaction.
pub const LOCK_LIMITS: &str = "-- store::lock_limits
select pg_advisory_xact_lock(723681251, place)
from (select distinct hashtext(agent) as place from unnest($1::text[]) as a (agent) order by 1) places";

/// Counts claimed runs by owner and concurrency key. Bounded by the workers' slots.
pub const COUNT_RUNNING: &str = "-- store::count_running
select r.agent, r.owner_id, r.concurrency_key, count(*) as runs
from runs r
where r.worker is not null and r.agent = any($1)
group by r.agent, r.owner_id, r.concurrency_key";

/// Finds claimable runs by agent, turn of the owner and place within the owner.
///
/// An owner without claimable runs gets one row without a run. Owners at their limit are skipped.
pub const FIND_CANDIDATES: &str = "-- store::find_candidates
with recursive time as materialized (
    select clock_timestamp() as now
), slot as materialized (
    select s.agent, s.after, s.version, s.owners, s.depth, time.now
    from time
    join workers w on w.worker_id = $1 and w.lease_until >= time.now and w.lost_at is null
    cross join unnest($2::text[], $3::int4[], $4::text[], $5::int4[], $6::int8[]) as s (agent, after, version, owners, depth)
), turn as (
    select agent, after as owner_id, after as start, 0 as lap, 0 as place, owners from slot
    union all
    select t.agent, n.owner_id, t.start, n.lap, t.place + 1, t.owners
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
    where t.place < t.owners
), owner as materialized (
    select t.agent, t.owner_id, t.place
    from turn t
    where t.place > 0 and not exists (
        select from unnest($7::text[], $8::int4[]) as f (agent, owner_id)
        where f.agent = t.agent and f.owner_id = t.owner_id
    )
)
select o.agent, o.place, o.owner_id, c.task_id, c.concurrency_key
from slot
join owner o on o.agent = slot.agent
left join lateral (
    select r.task_id, r.concurrency_key, r.priority, r.run_at
    from runs r
    where r.agent = slot.agent and r.stage = 0 and r.owner_id = o.owner_id and r.worker is null
        and r.run_at <= slot.now and (r.cancel_at is null or r.cancel_at > slot.now)
        and (r.deadline_at is null or r.deadline_at > slot.now)
        and (slot.version is null or r.version is null or r.version = slot.version)
    order by r.priority desc, r.run_at, r.task_id
    limit slot.depth
) c on true
order by o.agent, o.place, c.priority desc, c.run_at, c.task_id";

/// Claims the chosen runs, except those that another transaction has locked or changed.
///
/// `num_nulls` keeps the planner from using an index of waiting runs instead of the primary key.
pub const CLAIM_CHOSEN: &str = "-- store::claim_chosen
with chosen as materialized (
    select r.owner_id, r.task_id, c.token, c.version
    from unnest($2::int4[], $3::uuid[], $4::uuid[], $5::text[]) as c (owner_id, task_id, token, version)
    cross join lateral (
        select r.owner_id, r.task_id
        from runs r
        where r.owner_id = c.owner_id and r.task_id = c.task_id and num_nulls(r.worker) = 1 and r.stage = 0
        offset 0
        for update of r skip locked
    ) r
)
update runs r
set worker = $1, token = chosen.token, epoch = r.epoch + 1, queue_until = null,
    version = coalesce(chosen.version, r.version)
from chosen
where r.owner_id = any(array[chosen.owner_id]) and r.task_id = chosen.task_id";

/// Holds back runs whose concurrency key is at its limit, if none of the runs that use it can end
/// meanwhile.
///
/// `owner_id + 0` keeps the planner from reading all waiting runs of an owner.
pub const HOLD_BACK: &str = "-- store::hold_back
with run as materialized (
    select h.owner_id, h.task_id, h.concurrency_key
    from unnest($2::int4[], $3::uuid[], $4::text[]) as h (owner_id, task_id, concurrency_key)
), used as materialized (
    select r.owner_id, r.concurrency_key
    from runs r
    where r.worker is not null and r.agent = $1 and r.concurrency_key = any($4) and r.owner_id + 0 = any($2)
    for share of r skip locked
), full_key as materialized (
    select owner_id, concurrency_key from used group by owner_id, concurrency_key having count(*) >= $5
), held as materialized (
    select r.owner_id, r.task_id
    from full_key f
    join run on run.owner_id = f.owner_id and run.concurrency_key = f.concurrency_key
    cross join lateral (
        select r.owner_id, r.task_id
        from runs r
        where r.owner_id = run.owner_id and r.task_id = run.task_id and num_nulls(r.worker) = 1 and r.stage = 0
        offset 0
        for update of r skip locked
    ) r
)
update runs r
set stage = 2
from held
where r.owner_id = any(array[held.owner_id]) and r.task_id = held.task_id";

/// Most candidates per owner when some may have to be held back.
const MAX_CANDIDATES_PER_OWNER: usize = 200;

/// Most rounds per claim: later ones look behind held-back runs and behind owners without claimable
/// runs.
const MAX_LIMITED_ROUNDS: usize = 4;

/// Owners of an agent that were examined.
struct OwnersScanned {
    /// The last of them in the order of turns.
    last: OwnerId,
    /// Set if there may be further owners.
    more: bool,
}

/// Claims at most one run per token; returns them in claim order, including some that another
/// transaction holds.
pub async fn claim(
    db: &Db,
    connection: &mut PgConnection,
    request: &ClaimRequest,
    tokens: &[Uuid],
) -> DbResult<Vec<ClaimedKey>> {
    let mut transaction = connection.begin().await?;
    let limited = request.slots.iter().filter(|slot| !slot.limits.is_none());
    let limited: Vec<&str> = limited.map(|slot| slot.agent.as_str()).collect();
    // Serialises claims of these agents over all nodes until the commit.
    query(LOCK_LIMITS).bind(&limited).execute(&mut *transaction).await?;
    let mut running = count_running(&mut transaction, &limited).await?;
    let slots: BTreeMap<&AgentName, &AgentSlots> =
        request.slots.iter().map(|slot| (&slot.agent, slot)).collect();
    let mut offers: Vec<AgentOffer> = slots
        .values()
        .map(|slot| AgentOffer {
            agent: slot.agent.clone(),
            free: slot.free as usize,
            limits: slot.limits,
            running: running.remove(&slot.agent).unwrap_or_default(),
            owners: Vec::new(),
        })
        .collect();
    let mut claimed = Vec::new();
    for round in 0..MAX_LIMITED_ROUNDS {
        let most = tokens.len() - claimed.len();
        let scanned =
            load_candidates(db, &mut transaction, request, &mut offers, (most, round)).await?;
        let plan = plan_claims(&mut offers, most);
        claimed.extend(
            claim_chosen(&mut transaction, request, &plan, &tokens[claimed.len()..]).await?,
        );
        // Look again behind held-back runs and unproductive owners while tokens are left.
        let more_owners = record_turns(db, &plan, &scanned, claimed.len() < tokens.len());
        let held = hold_back(&mut transaction, &slots, &plan).await?;
        if claimed.len() >= tokens.len() || (held == 0 && !more_owners) {
            break;
        }
    }
    transaction.commit().await?;
    Ok(claimed)
}

async fn count_running(
    connection: &mut PgConnection,
    agents: &[&str],
) -> DbResult<BTreeMap<AgentName, RunningCounts>> {
    let mut running: BTreeMap<AgentName, RunningCounts> = BTreeMap::new();
    for row in query(COUNT_RUNNING).bind(agents).fetch_all(connection).await? {
        let runs = u64::try_from(column::<i64>(&row, "runs")?).unwrap_or_default();
        let concurrency_key: Option<String> = column(&row, "concurrency_key")?;
        let owner = OwnerId(column(&row, "owner_id")?);
        running.entry(agent(&row)?).or_default().add(owner, concurrency_key.as_deref(), runs);
    }
    Ok(running)
}

/// Records whose turn it was; returns whether there may be further owners.
///
/// With slots left, owners without claimable runs have had their turn too; otherwise they would
/// block the others forever.
fn record_turns(
    db: &Db,
    plan: &ClaimPlan,
    scanned: &BTreeMap<AgentName, OwnersScanned>,
    places: bool,
) -> bool {
    for (agent, run) in &plan.claim {
        db.turns.record_served(agent, run.key.owner);
    }
    let mut more = false;
    for (agent, scanned) in scanned.iter().filter(|_| places) {
        if plan.claim.iter().all(|(by, _)| by != agent) {
            db.turns.record_served(agent, scanned.last);
            more |= scanned.more;
        }
    }
    more
}

/// Loads candidates into the offers and returns the owners that were examined. The second number is
/// that of the round, from 0.
async fn load_candidates(
    db: &Db,
    connection: &mut PgConnection,
    request: &ClaimRequest,
    offers: &mut [AgentOffer],
    (most, round): (usize, usize),
) -> DbResult<BTreeMap<AgentName, OwnersScanned>> {
    let mut full = Vec::new();
    let (mut agents, mut after, mut owners, mut depths) = (vec![], vec![], vec![], vec![]);
    let mut versions: Vec<Option<&str>> = Vec::new();
    for offer in offers.iter_mut() {
        offer.owners.clear();
        if offer.free == 0 || !offer.running.has_room(&offer.limits) {
            continue;
        }
        let full_owners = offer.running.full_owners(&offer.limits);
        let wanted = offer.wanted(most);
        agents.push(offer.agent.as_str());
        after.push(db.turns.start_after(&offer.agent, &*db.ids).0);
        // Full owners are skipped, so look at as many more.
        owners.push(i32::try_from(wanted + full_owners.len()).unwrap_or(i32::MAX));
        depths.push(i64::try_from(candidates_per_owner(offer, wanted, round)).unwrap_or(i64::MAX));
        let slot = request.slots.iter().find(|slot| slot.agent == offer.agent);
        versions.push(slot.and_then(|slot| slot.pinned.as_deref()));
        full.extend(full_owners.into_iter().map(|owner| (offer.agent.as_str(), owner.0)));
    }
    if agents.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (full_agents, full_owners): (Vec<&str>, Vec<i32>) = full.into_iter().unzip();
    let rows = query(FIND_CANDIDATES)
        .bind(request.worker.uuid())
        .bind(agents)
        .bind(after)
        .bind(versions)
        .bind(owners)
        .bind(depths)
        .bind(full_agents)
        .bind(full_owners)
        .fetch_all(connection)
        .await?;
    add_candidates(offers, &rows, most)
}

/// Number of candidates to load per owner: no more than wanted, unless some may have to be held
/// back.
fn candidates_per_owner(offer: &AgentOffer, wanted: usize, round: usize) -> usize {
    match (offer.limits.per_key, round) {
        (None, _) => offer.limits.per_owner.map_or(wanted, |most| wanted.min(most as usize)),
        // Some candidates may have to be held back, so load more than wanted.
        (Some(_), 0) => (4 * wanted + 16).min(MAX_CANDIDATES_PER_OWNER.max(wanted)),
        (Some(_), _) => MAX_CANDIDATES_PER_OWNER.max(wanted),
    }
}

fn add_candidates(
    offers: &mut [AgentOffer],
    rows: &[PgRow],
    most: usize,
) -> DbResult<BTreeMap<AgentName, OwnersScanned>> {
    let mut scanned: BTreeMap<AgentName, OwnersScanned> = BTreeMap::new();
    for row in rows {
        let (agent, owner) = (agent(row)?, OwnerId(column(row, "owner_id")?));
        let offer = offers.iter_mut().find(|offer| offer.agent == agent);
        let offer = offer.ok_or_else(|| DbError::corrupt("column agent", "not requested"))?;
        // Rows come grouped by owner.
        if scanned.get(&agent).is_none_or(|before| before.last != owner) {
            offer.owners.push(Vec::new());
        }
        if column::<Option<Uuid>>(row, "task_id")?.is_some() {
            let concurrency_key = column(row, "concurrency_key")?;
            let candidate = ClaimCandidate { key: key(row)?, concurrency_key };
            offer.owners.last_mut().into_iter().for_each(|runs| runs.push(candidate.clone()));
        }
        let more = offer.owners.len() >= offer.wanted(most);
        scanned.insert(agent, OwnersScanned { last: owner, more });
    }
    Ok(scanned)
}

async fn claim_chosen(
    connection: &mut PgConnection,
    request: &ClaimRequest,
    plan: &ClaimPlan,
    tokens: &[Uuid],
) -> DbResult<Vec<ClaimedKey>> {
    if plan.claim.is_empty() {
        return Ok(Vec::new());
    }
    let version = |agent: &AgentName| {
        let slot = request.slots.iter().find(|slot| slot.agent == *agent);
        slot.and_then(|slot| slot.pinned.as_deref())
    };
    let runs = || plan.claim.iter().map(|(_, run)| run.key);
    query(CLAIM_CHOSEN)
        .bind(request.worker.uuid())
        .bind(runs().map(|key| key.owner.0).collect::<Vec<_>>())
        .bind(runs().map(|key| key.task.uuid()).collect::<Vec<_>>())
        .bind(&tokens[..plan.claim.len()])
        .bind(plan.claim.iter().map(|(agent, _)| version(agent)).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    // A run that another transaction held does not bear its token; that token counts as used
    // anyway.
    Ok(runs().zip(tokens).map(|(key, token)| ClaimedKey { key, token: *token }).collect())
}

async fn hold_back(
    connection: &mut PgConnection,
    slots: &BTreeMap<&AgentName, &AgentSlots>,
    plan: &ClaimPlan,
) -> DbResult<u64> {
    let mut held = 0;
    for (agent, runs) in &plan.hold_back {
        let limit = slots.get(agent).and_then(|slot| slot.limits.per_key);
        held += query(HOLD_BACK)
            .bind(agent.as_str())
            .bind(runs.iter().map(|run| run.key.owner.0).collect::<Vec<_>>())
            .bind(runs.iter().map(|run| run.key.task.uuid()).collect::<Vec<_>>())
            .bind(runs.iter().map(|run| run.concurrency_key.as_deref()).collect::<Vec<_>>())
            .bind(limit.map_or(i64::MAX, i64::from))
            .execute(&mut *connection)
            .await?
            .rows_affected();
    }
    Ok(held)
}
