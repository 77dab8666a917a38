//! What waits and what runs.

use crate::{
    column::{agent, column},
    failure::{DbResult, Failure},
};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_store::{QueueRecord, WorkerRecord};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::time::Duration;
use uuid::Uuid;

/// What waits and what runs of each agent that is registered or has something.
pub const QUEUES: &str = "-- store::queues
with counted as (
    select r.agent,
        count(*) filter (where r.worker is null and r.stage = 0) as ready,
        count(*) filter (where r.worker is null and r.stage = 1) as scheduled,
        count(*) filter (where r.worker is null and r.stage = 2) as held_back,
        count(*) filter (where r.worker is not null) as running,
        min(r.run_at) filter (where r.worker is null and r.stage = 0) as oldest
    from runs r
    group by r.agent
)
select coalesce(a.name, c.agent) as agent, coalesce(c.ready, 0) as ready, coalesce(c.scheduled, 0) as scheduled,
    coalesce(c.held_back, 0) as held_back, coalesce(c.running, 0) as running,
    greatest(0, extract(epoch from clock_timestamp() - c.oldest) * 1000)::int8 as oldest_ms, c.oldest is null as empty
from agents a
full join counted c on c.agent = a.name
order by coalesce(a.name, c.agent) collate \"C\"";

/// Every worker, and how many runs it holds.
pub const WORKERS: &str = "-- store::workers
select w.worker_id, w.name, w.agents, w.lease_until, (select count(*) from runs r where r.worker = w.worker_id) as running
from workers w
order by w.registered_at, w.worker_id";

/// Queues by agent.
pub async fn queues(connection: &mut PgConnection) -> DbResult<Vec<QueueRecord>> {
    let rows = query(QUEUES).fetch_all(connection).await?;
    rows.iter().map(|row| QueueRow::try_from(row).map(|row| row.0)).collect()
}

/// Workers.
pub async fn workers(connection: &mut PgConnection) -> DbResult<Vec<WorkerRecord>> {
    let rows = query(WORKERS).fetch_all(connection).await?;
    rows.iter().map(|row| WorkerRow::try_from(row).map(|row| row.0)).collect()
}

fn number(row: &PgRow, name: &'static str) -> DbResult<u64> {
    Ok(u64::try_from(column::<i64>(row, name)?).unwrap_or_default())
}

struct QueueRow(QueueRecord);

impl TryFrom<&PgRow> for QueueRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let oldest = Duration::from_millis(number(row, "oldest_ms")?);
        Ok(Self(QueueRecord {
            agent: agent(row)?,
            ready: number(row, "ready")?,
            scheduled: number(row, "scheduled")?,
            held_back: number(row, "held_back")?,
            running: number(row, "running")?,
            oldest: (!column::<bool>(row, "empty")?).then_some(oldest),
        }))
    }
}

struct WorkerRow(WorkerRecord);

impl TryFrom<&PgRow> for WorkerRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let names: Vec<String> = column(row, "agents")?;
        let agents: Result<Vec<AgentName>, _> = names.into_iter().map(AgentName::new).collect();
        Ok(Self(WorkerRecord {
            id: WorkerId::new(column::<Uuid>(row, "worker_id")?),
            name: column(row, "name")?,
            agents: agents.map_err(|error| Failure::corrupt("workers.agents", error))?,
            lease_until: column(row, "lease_until")?,
            running: number(row, "running")?,
        }))
    }
}
