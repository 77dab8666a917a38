//! Which agents there are.

use crate::{
    db::{self, statements},
    error::Result,
    row,
    writer::Tx,
};
use longhaul_domain::AgentDescriptor;
use longhaul_store::StoreError;
use rusqlite::Connection;

statements! {
    VERSION = "-- store::register_agents
        SELECT version FROM agents WHERE name = ?1";
    REGISTER = "-- store::register_agents
        INSERT OR REPLACE INTO agents (name, version, updated_at, body) VALUES (?1, ?2, ?3, ?4)";
    LIST = "-- store::agents
        SELECT body FROM agents ORDER BY name";
}

/// Registers agents that are not older than what is registered.
pub fn register(tx: &mut Tx<'_>, agents: &[AgentDescriptor]) -> Result<()> {
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

/// Every agent, by name.
pub fn list(conn: &Connection) -> Result<Vec<AgentDescriptor>> {
    db::all(conn, LIST, (), |row| {
        let body: String = row.get(0)?;
        serde_json::from_str(&body).map_err(|e| row::corrupt("agents.body", e))
    })
}
