//! Registered agents. They stay registered when their workers leave; the highest version wins.

use crate::{
    PostgresStore,
    column::column,
    db::Db,
    error::{DbError, DbResult},
};
use async_trait::async_trait;
use longhaul_domain::AgentDescriptor;
use longhaul_store::{AgentRegistry, Result};
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, PgRow};
use std::collections::BTreeMap;

/// Serialises registrations, so that versions are compared and written atomically.
pub const LOCK_AGENTS: &str = "-- store::lock_agents
select pg_advisory_xact_lock(723681250, 2)";

/// Lists agents by name.
pub const LIST_AGENTS: &str = "-- store::list_agents
select schema, descriptor::text as descriptor from agents order by name collate \"C\"";

/// Inserts or updates agents.
pub const PUT_AGENTS: &str = "-- store::put_agents
insert into agents (name, version, descriptor)
select name, version, descriptor::json from unnest($1::text[], $2::text[], $3::text[]) as a (name, version, descriptor)
on conflict (name) do update
set version = excluded.version, schema = default, descriptor = excluded.descriptor";

#[async_trait]
impl AgentRegistry for PostgresStore {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.db.retry(|| register(&self.db, &agents)).await
    }

    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        let read = || async { read_agents(&mut *self.db.reader().await?).await };
        self.db.retry(read).await
    }
}

/// Reads all registered agents.
async fn read_agents(connection: &mut PgConnection) -> DbResult<Vec<AgentDescriptor>> {
    let rows = query(LIST_AGENTS).fetch_all(connection).await?;
    rows.iter().map(|row| AgentRow::try_from(row).map(|row| row.0)).collect()
}

/// Registers agents, except those whose registered version is higher.
async fn register(db: &Db, new: &[AgentDescriptor]) -> DbResult<()> {
    let mut transaction = db.begin().await?;
    // Without the lock a lower version could overwrite a higher one that was just registered.
    query(LOCK_AGENTS).execute(&mut *transaction).await?;
    let known: BTreeMap<_, _> = read_agents(&mut transaction)
        .await?
        .into_iter()
        .map(|agent| (agent.name, agent.version))
        .collect();
    let mut put: BTreeMap<&str, &AgentDescriptor> = BTreeMap::new();
    for agent in new {
        // One request may name an agent twice.
        let there = put.get(agent.name.as_str()).map(|there| &there.version);
        let there = there.or_else(|| known.get(&agent.name));
        if there.is_none_or(|version| agent.supersedes(version)) {
            put.insert(agent.name.as_str(), agent);
        }
    }
    let mut descriptors = Vec::with_capacity(put.len());
    for agent in put.values() {
        let text = serde_json::to_string(agent).map_err(|e| DbError::Rejected(e.to_string()))?;
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
    type Error = DbError;
    fn try_from(row: &PgRow) -> DbResult<Self> {
        let schema: i16 = column(row, "schema")?;
        if schema != 1 {
            return Err(DbError::corrupt("agents.schema", format!("{schema} is not known")));
        }
        serde_json::from_str(column(row, "descriptor")?)
            .map(Self)
            .map_err(|error| DbError::corrupt("agents.descriptor", error))
    }
}
