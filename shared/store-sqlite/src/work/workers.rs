//! Workers. Their rows say which worker holds which runs; their [leases](crate::leases) are in
//! memory.

use crate::{
    db::{self, statements},
    error::DbResult,
    leases::Leases,
    row,
    writer::Tx,
};
use longhaul_domain::{Epoch, Fence, TaskKey, WorkerId};
use longhaul_store::{HeartbeatReply, HeldDigest, NewWorker, StoreError};
use rusqlite::Connection;

statements! {
    REGISTER = "-- store::register_worker
        INSERT INTO workers (worker, name, started_at, lease_until, agents) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (worker) DO UPDATE
        SET name = excluded.name, lease_until = excluded.lease_until, agents = excluded.agents";
    CANCELS = "-- store::heartbeat
        SELECT owner_id, task FROM runs WHERE worker = ?1 AND cancel_at IS NOT NULL ORDER BY owner_id, task";
    HELD = "-- store::heartbeat
        SELECT token FROM runs WHERE worker = ?1";
    HELD_RUNS = "-- store::held_runs
        SELECT owner_id, task, epoch, token FROM runs WHERE worker = ?1 ORDER BY owner_id, task";
}

/// Registers a worker. The lease is granted before the row becomes visible, so that a reaper never
/// finds the row without a lease. If the commit fails, the caller removes the lease.
pub fn register(tx: &mut Tx<'_>, leases: &Leases, worker: &NewWorker) -> DbResult<()> {
    let agents = serde_json::to_string(&worker.agents)
        .map_err(|e| StoreError::Refused(format!("the agents of a worker: {e}")))?;
    let until = tx.now.saturating_add(row::millis(worker.lease));
    db::run(tx.conn, REGISTER, (worker.id.to_string(), &worker.name, tx.now, until, agents))?;
    leases.grant(worker.id, tx.now, worker.lease);
    Ok(())
}

/// Returns the reply to a heartbeat whose lease was renewed.
pub fn heartbeat_reply(conn: &Connection, worker: WorkerId) -> DbResult<HeartbeatReply> {
    let worker = worker.to_string();
    let cancels: Vec<TaskKey> = db::all(conn, CANCELS, (&worker,), row::key)?;
    let tokens = db::all(conn, HELD, (&worker,), |row| row::token(row, "token"))?;
    let held = HeldDigest::from_tokens(tokens.into_iter().flatten());
    Ok(HeartbeatReply::Renewed { cancels, held })
}

/// Lists the runs that a worker holds.
pub fn held_runs(conn: &Connection, worker: WorkerId) -> DbResult<Vec<(TaskKey, Fence)>> {
    db::all(conn, HELD_RUNS, (worker.to_string(),), |row| {
        let token = row::token(row, "token")?;
        let token = token.ok_or_else(|| row::corrupt("runs.token", "a claim without a token"))?;
        Ok((row::key(row)?, Fence { epoch: Epoch(row.get("epoch")?), token }))
    })
}
