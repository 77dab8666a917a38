//! Which agents there are. They stay when their workers leave; the highest version shows.

use crate::{
    column::column,
    db::Db,
    failure::{DbResult, Failure},
};
use longhaul_domain::AgentDescriptor;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;

/// Lets one process at a time compare versions and write.
pub const LOCK_AGENTS: &str = "-- store::lock_agents
select pg_advisory_xact_lock(723681250, 2)";

/// Every agent, by name.
pub const AGENTS: &str = "-- store::agents
select schema, descriptor::text as descriptor from agents order by name collate \"C\"";

/// Writes agents.
pub const PUT_AGENTS: &str = "-- store::put_agents
insert into agents (name, version, descriptor)
select name, version, descriptor::json from unnest($1::text[], $2::text[], $3::text[]) as a (name, version, descriptor)
on conflict (name) do update
set version = excluded.version, schema = default, descriptor = excluded.descriptor";

/// Every registered agent.
pub async fn agents(connection: &mut PgConnection) -> DbResult<Vec<AgentDescriptor>> {
    let rows = query(AGENTS).fetch_all(connection).await?;
    rows.iter().map(|row| AgentRow::try_from(row).map(|row| row.0)).collect()
}

/// Registers agents whose version is not lower than the one that is there.
pub async fn register(db: &Db, new: &[AgentDescriptor]) -> DbResult<()> {
    let mut transaction = db.begin().await?;
    query(LOCK_AGENTS).execute(&mut *transaction).await?;
    let known: BTreeMap<_, _> = agents(&mut transaction)
        .await?
        .into_iter()
        .map(|agent| (agent.name, agent.version))
        .collect();
    let mut put: BTreeMap<&str, &AgentDescriptor> = BTreeMap::new();
    for agent in new {
        let there = put.get(agent.name.as_str()).map(|there| &there.version);
        let there = there.or_else(|| known.get(&agent.name));
        if there.is_none_or(|version| agent.supersedes(version)) {
            put.insert(agent.name.as_str(), agent);
        }
    }
    let mut descriptors = Vec::with_capacity(put.len());
    for agent in put.values() {
        let text = serde_json::to_string(agent).map_err(|e| Failure::Refused(e.to_string()))?;
        descriptors.push(text);
    }
    query(PUT_AGENTS)
        .bind(put.keys().copied().collect::<Vec<_>>())
        .bind(put.values().map(|agent| agent.version.as_str()).collect::<Vec<_>>())
        .bind(descriptors)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

struct AgentRow(AgentDescriptor);

impl TryFrom<&PgRow> for AgentRow {
    type Error = Failure;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let schema: i16 = column(row, "schema")?;
        if schema != 1 {
            return Err(Failure::corrupt("agents.schema", format!("{schema} is not known")));
        }
        serde_json::from_str(column(row, "descriptor")?)
            .map(Self)
            .map_err(|error| Failure::corrupt("agents.descriptor", error))
    }
}
