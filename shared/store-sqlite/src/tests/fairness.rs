//! A claim costs the same however long the queues are.

use super::{asks, open};
use crate::{SqliteStore, schema, work::claim, writer::Tx};
use longhaul_domain::{ConcurrencyLimits, OwnerId, WorkerId};
use longhaul_runtime::{IdSource, SystemClock, SystemIds};
use longhaul_store::{AgentSlots, ClaimRequest, ClaimedRun, IntakeStore, NewWorker, WorkerStore};
use rusqlite::{Connection, StatementStatus};
use std::{sync::Arc, time::Duration};

/// Fills a queue with this many runs of the first owner and one run of the second.
fn queued(runs: i64) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    schema::migrate(&conn, 0).unwrap();
    let fill = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses)
        SELECT 1, printf('00000000-0000-0000-0000-%012d', n), 'echo', n % 7, n, 1, 0, 0, 0 FROM n
        UNION ALL SELECT 2, '00000000-0000-0000-0000-000000000000', 'echo', 0, 1, 1, 0, 0, 0";
    conn.execute(fill, (runs,)).unwrap();
    conn
}

/// Counts the database steps to find the next owner after one, and the first run of an owner.
fn steps(conn: &Connection, after: i32) -> (i32, i32) {
    let mut owner = conn.prepare(claim::NEXT_OWNER).unwrap();
    let next: i32 = owner.query_row(("echo", after), |row| row.get(0)).unwrap();
    assert_eq!(next, after + 1);
    let mut first = conn.prepare(claim::FIRST).unwrap();
    let params = ("echo", next, i64::MAX, None::<String>);
    first.query_row(params, |row| row.get::<_, String>("task")).unwrap();
    (owner.get_status(StatementStatus::VmStep), first.get_status(StatementStatus::VmStep))
}

#[test]
fn a_claim_costs_the_same_behind_a_long_queue() {
    let (short, long) = (queued(10), queued(50_000));
    for after in [0, 1] {
        assert_eq!(steps(&short, after), steps(&long, after));
    }
}

/// Creates owners 2 to 500 with a running and a ready run each, and owner 501.
async fn owners_at_their_limit(store: &SqliteStore) {
    let fill = |tx: &mut Tx<'_>| {
        tx.conn.execute_batch(
            "
            WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 501)
            INSERT INTO owners (owner_id, name, created_at) SELECT n, n, 0 FROM n;
            INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses, worker, token)
            SELECT owner_id, printf('00000000-0000-0000-0000-%012d', owner_id), 'echo', 0, 1, 1, 1, 0, 0, 'w', 't'
            FROM owners WHERE owner_id BETWEEN 2 AND 500;
            INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses)
            SELECT owner_id, printf('00000000-0000-0000-0001-%012d', owner_id), 'echo', 0, 1, 1, 1, 0, 0
            FROM owners WHERE owner_id BETWEEN 2 AND 500",
        )?;
        Ok(())
    };
    store.writer.write(0, fill).await.unwrap();
}

async fn claimed(store: &SqliteStore, worker: WorkerId) -> Vec<ClaimedRun> {
    let limits = ConcurrencyLimits { per_owner: Some(1), ..ConcurrencyLimits::NONE };
    let slots = AgentSlots { limits, ..AgentSlots::new(asks("m", "hello").agent, 4) };
    store.claim(ClaimRequest { worker, slots: vec![slots], limit: 4 }).await.unwrap()
}

#[tokio::test]
async fn an_owner_behind_many_at_their_limit_gets_a_turn_after_a_few_claims() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    owners_at_their_limit(&store).await;
    let mut asks = asks("m", "hello");
    asks.key.owner = OwnerId(501);
    store.accept_new(asks.clone()).await.unwrap();
    let worker = WorkerId::new(SystemIds.uuid_v7());
    let (name, lease) = ("host/1".to_owned(), Duration::from_secs(600));
    let new = NewWorker { id: worker, name, agents: Vec::new(), lease };
    store.register_worker(new).await.unwrap();
    assert!(claimed(&store, worker).await.is_empty(), "a claim looks at so many owners only");
    assert!(claimed(&store, worker).await.is_empty(), "the next claim continues from there");
    assert_eq!(claimed(&store, worker).await[0].key, asks.key);
}
