//! The registered agents.

use crate::{
    SqliteStore,
    db::{self, statements},
    error::DbResult,
    row,
    writer::Tx,
};
use async_trait::async_trait;
use longhaul_domain::AgentDescriptor;
use longhaul_store::{AgentRegistry, Result, StoreError};
use rusqlite::Connection;

statements! {
    VERSION = "-- store::register_agents
        SELECT version FROM agents WHERE name = ?1";
    REGISTER = "-- store::register_agents
        INSERT OR REPLACE INTO agents (name, version, updated_at, body) VALUES (?1, ?2, ?3, ?4)";
    LIST = "-- store::agents
        SELECT body FROM agents ORDER BY name";
}

#[async_trait]
impl AgentRegistry for SqliteStore {
    async fn register_agents(&self, agents: Vec<AgentDescriptor>) -> Result<()> {
        self.writer.write(0, move |tx| register(tx, &agents)).await
    }

    async fn agents(&self) -> Result<Vec<AgentDescriptor>> {
        self.readers.read(list).await
    }
}

/// Registers agents, unless a newer version is registered.
fn register(tx: &mut Tx<'_>, agents: &[AgentDescriptor]) -> DbResult<()> {
    for agent in agents {
        let name = agent.name.as_str();
        let there = db::one(tx.conn, VERSION, (name,), |row| Ok(row.get::<_, String>(0)?))?;
        if there.is_some_and(|version| !agent.supersedes(&version)) {
            continue;
        }
        let body = serde_json::to_string(agent)
            .map_err(|e| StoreError::Refused(format!("agent {name}: {e}")))?;
        db::run(tx.conn, REGISTER, (name, &agent.version, tx.now, body))?;
    }
    Ok(())
}

/// Lists all agents, by name.
fn list(conn: &Connection) -> DbResult<Vec<AgentDescriptor>> {
    db::all(conn, LIST, (), |row| {
        let body: String = row.get(0)?;
        serde_json::from_str(&body).map_err(|e| row::corrupt("agents.body", e))
    })
}
