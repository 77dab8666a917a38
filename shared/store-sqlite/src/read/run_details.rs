//! Run details of tasks, and queue depths.

use crate::{
    db::{self, statements},
    error::DbResult,
    row,
};
use longhaul_domain::{AgentName, OwnerId, TaskKey};
use longhaul_store::{QueuePosition, RunDetails};
use rusqlite::{Connection, Row};
use std::collections::HashMap;

statements! {
    DETAILS = "-- store::run_facts
        SELECT t.priority, s.deadline_at, r.task IS NOT NULL AS queued, r.worker IS NOT NULL AS running, r.run_at, r.losses,
               CASE WHEN r.task IS NOT NULL THEN r.attempt
                    WHEN l.attempt > 0 THEN l.attempt
                    WHEN s.state = 4 THEN coalesce(json_extract(l.body, '$.failed.attempts'), 0)
                    ELSE 0 END AS attempt
        FROM tasks t
        JOIN task_state s ON s.owner_id = t.owner_id AND s.task = t.task
        LEFT JOIN runs r ON r.owner_id = t.owner_id AND r.task = t.task
        LEFT JOIN log l ON l.owner_id = s.owner_id AND l.task = s.task AND l.seq = s.status_seq
        WHERE t.owner_id = ?1 AND t.task = ?2";
    DEPTH = "-- store::queue_depth
        SELECT count(*) FROM
            (SELECT 1 FROM runs INDEXED BY runs_queued WHERE agent = ?1 AND worker IS NULL LIMIT ?2)";
    DEPTH_OF_OWNER = "-- store::queue_depth
        SELECT count(*) FROM
            (SELECT 1 FROM runs INDEXED BY runs_queued
             WHERE agent = ?1 AND worker IS NULL AND stage IN (0, 1, 2) AND owner_id = ?3 LIMIT ?2)";
}

/// Reads the run details of tasks. Tasks that do not exist are left out.
pub fn run_details(
    conn: &Connection,
    keys: Vec<TaskKey>,
) -> DbResult<HashMap<TaskKey, RunDetails>> {
    let mut all = HashMap::new();
    for key in keys {
        let details = db::one(conn, DETAILS, (key.owner.0, key.task.to_string()), details)?;
        all.extend(details.map(|details| (key, details)));
    }
    Ok(all)
}

fn details(row: &Row<'_>) -> DbResult<RunDetails> {
    let queue = if row.get("queued")? {
        Some(QueuePosition {
            running: row.get("running")?,
            run_at: row::time(row, "run_at")?,
            losses: row.get("losses")?,
        })
    } else {
        None
    };
    Ok(RunDetails {
        attempt: row.get("attempt")?,
        priority: row.get("priority")?,
        deadline: row.get::<_, Option<i64>>("deadline_at")?.and_then(row::timestamp),
        queue,
    })
}

/// Counts the queued tasks of an agent, up to a limit.
pub fn queue_depth(
    conn: &Connection,
    agent: &AgentName,
    owner: Option<OwnerId>,
    limit: u32,
) -> DbResult<u32> {
    let agent = agent.as_str();
    let depth = match owner {
        Some(owner) => {
            db::one(conn, DEPTH_OF_OWNER, (agent, limit, owner.0), |row| Ok(row.get(0)?))?
        }
        None => db::one(conn, DEPTH, (agent, limit), |row| Ok(row.get(0)?))?,
    };
    Ok(depth.unwrap_or(0))
}
