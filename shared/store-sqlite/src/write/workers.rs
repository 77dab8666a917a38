//! Workers and their leases.

use crate::{
    db::{self, statements},
    error::Result,
    row,
    writer::Tx,
};
use longhaul_domain::{TaskKey, WorkerId};
use longhaul_store::{HeartbeatReply, NewWorker, StoreError};
use std::time::Duration;

statements! {
    REGISTER = "-- store::register_worker
        INSERT INTO workers (worker, name, started_at, lease_until, agents) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (worker) DO UPDATE
        SET name = excluded.name, lease_until = excluded.lease_until, agents = excluded.agents";
    RENEW = "-- store::heartbeat
        UPDATE workers SET lease_until = ?2 WHERE worker = ?1";
    EXPIRE_ALL = "-- store::migrate
        UPDATE workers SET lease_until = 0";
    CANCELS = "-- store::heartbeat
        SELECT owner_id, task FROM runs WHERE worker = ?1 AND cancel_at IS NOT NULL ORDER BY owner_id, task";
    HAS_LEASE = "-- store::claim
        SELECT 1 FROM workers WHERE worker = ?1 AND lease_until > ?2";
}

pub fn register(tx: &mut Tx<'_>, worker: &NewWorker) -> Result<()> {
    let agents = serde_json::to_string(&worker.agents)
        .map_err(|e| StoreError::Refused(format!("the agents of a worker: {e}")))?;
    let until = tx.now.saturating_add(row::millis(worker.lease));
    db::run(tx.conn, REGISTER, (worker.id.to_string(), &worker.name, tx.now, until, agents))?;
    Ok(())
}

pub fn heartbeat(tx: &mut Tx<'_>, worker: WorkerId, lease: Duration) -> Result<HeartbeatReply> {
    let worker = worker.to_string();
    let until = tx.now.saturating_add(row::millis(lease));
    if db::run(tx.conn, RENEW, (&worker, until))? == 0 {
        return Ok(HeartbeatReply::Lost);
    }
    let cancels: Vec<TaskKey> = db::all(tx.conn, CANCELS, (&worker,), row::key)?;
    Ok(HeartbeatReply::Renewed { cancels })
}

/// Ends every lease: whoever held one is gone, as this process alone has the folder.
pub fn expire_all(tx: &mut Tx<'_>) -> Result<()> {
    db::run(tx.conn, EXPIRE_ALL, ())?;
    Ok(())
}

/// Whether a worker is known and its lease goes on.
pub fn has_lease(tx: &Tx<'_>, worker: WorkerId) -> Result<bool> {
    Ok(db::one(tx.conn, HAS_LEASE, (worker.to_string(), tx.now), |_| Ok(()))?.is_some())
}
