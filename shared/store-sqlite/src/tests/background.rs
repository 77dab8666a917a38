//! Background operations do not disturb the writer: heartbeats, and reaps that find nothing.

use super::{REAP, asks, claim, open};
use crate::{SqliteStore, schema, work::due_work, writer::Tx};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_runtime::{Clock, IdSource, ManualClock, SystemClock, SystemIds};
use longhaul_store::{
    AgentSlots, ClaimRequest, ClaimedRun, HeartbeatReply, HeldDigest, IntakeStore, NewWorker,
    OperatorStore, ReapRequest, Reaped, Store, WorkerStore,
};
use rusqlite::{Connection, StatementStatus, named_params};
use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

/// Keeps the writer busy until the sender is dropped; returns once it has begun.
pub async fn busy(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let writer = Arc::clone(store);
    longhaul_runtime::spawn("busy", async move {
        let begun = std::cell::Cell::new(Some(begun));
        let wait = move |_: &mut Tx<'_>| {
            begun.take().map(|begun| begun.send(()));
            let _ = released.recv();
            Ok(())
        };
        writer.writer.write(0, wait).await.unwrap();
    });
    has_begun.await.unwrap();
    release
}

async fn worker(store: &SqliteStore, lease: Duration) -> WorkerId {
    let id = WorkerId::new(SystemIds.uuid_v7());
    let worker = NewWorker { id, name: "host/1".to_owned(), agents: Vec::new(), lease };
    store.register_worker(worker).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_and_searches_wait_for_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Arc::new(SystemClock)).await;
    let worker = worker(&store, Duration::from_secs(600)).await;
    store.reap(REAP).await.unwrap();
    let writes = busy(&store).await;
    let reply = store.heartbeat(worker, Duration::from_secs(600)).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: HeldDigest::default() });
    let reaping = store.reap(REAP).await.unwrap();
    assert!(reaping.done.is_empty());
    assert!(reaping.again_in <= Duration::from_secs(1), "{reaping:?}");
    drop(writes);
    store.close().await;
}

fn manual() -> Arc<ManualClock> {
    let clock = ManualClock::default();
    clock.advance(chrono::TimeDelta::days(20_000));
    Arc::new(clock)
}

async fn with_a_run(folder: &Path, clock: &Arc<ManualClock>) -> (Arc<SqliteStore>, ClaimedRun) {
    let store = open(folder, Arc::clone(clock) as Arc<dyn Clock>).await;
    store.accept_new(asks("m", "hello")).await.unwrap();
    let claimed = claim(&store).await;
    (store, claimed)
}

#[tokio::test]
async fn a_stalled_process_loses_no_live_worker() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), manual());
    let (store, run) = with_a_run(folder.path(), &clock).await;
    let worker = store.workers().await.unwrap().remove(0).id;
    clock.advance(chrono::TimeDelta::hours(3));
    assert!(store.reap(REAP).await.unwrap().done.is_empty(), "the worker may live");
    let reply = store.heartbeat(worker, Duration::from_secs(15)).await.unwrap();
    assert!(
        matches!(reply, HeartbeatReply::Renewed { held: HeldDigest { runs: 1, .. }, .. }),
        "{reply:?}"
    );
    clock.advance(chrono::TimeDelta::seconds(14));
    assert!(store.reap(REAP).await.unwrap().done.is_empty());
    clock.advance(chrono::TimeDelta::seconds(1));
    let again = store.reap(REAP).await.unwrap();
    assert!(again.done.is_empty() && again.again_in <= Duration::from_secs(1), "{again:?}");
    clock.advance(chrono::TimeDelta::seconds(1));
    let reaped = store.reap(REAP).await.unwrap().done;
    assert_eq!(reaped, [Reaped::Offered { key: run.key, agent: run.agent }], "now it is lost");
}

#[tokio::test]
async fn suspects_of_one_lost_worker_are_judged_together_whatever_the_limit() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), manual());
    let store = open(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    for message in ["a", "b"] {
        store.accept_new(asks(message, "hello")).await.unwrap();
    }
    let worker = worker(&store, Duration::from_secs(15)).await;
    let slots = vec![AgentSlots::new(AgentName::new("echo").unwrap(), 2)];
    let claimed = store.claim(ClaimRequest { worker, slots, limit: 2 }).await.unwrap();
    assert_eq!(claimed.len(), 2);
    store.close().await;
    drop(store);
    // A worker of an earlier process is lost at once.
    let store = open(folder.path(), clock).await;
    let one_at_once = ReapRequest { limit: 1, max_losses: 1, ..REAP };
    let mut reaped = store.reap(one_at_once).await.unwrap().done;
    reaped.extend(store.reap(one_at_once).await.unwrap().done);
    let offered = reaped.iter().filter(|done| matches!(done, Reaped::Offered { .. })).count();
    assert_eq!(offered, 2, "no suspect was alone: {reaped:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_delay_claimable_runs() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), manual());
    clock.advance(chrono::TimeDelta::hours(3));
    let (store, run) = with_a_run(folder.path(), &clock).await;
    store.close().await;
    drop(store);
    let store = open(folder.path(), manual()).await;
    let reaped = store.reap(REAP).await.unwrap().done;
    assert_eq!(reaped, [Reaped::Offered { key: run.key, agent: run.agent }]);
    let worker = worker(&store, Duration::from_secs(600)).await;
    store.deregister_worker(worker).await.unwrap();
    assert_eq!(claim(&store).await.key, run.key);
}

/// Counts the database steps of a search among this many tasks that wait for their time, an answer
/// or their deadline.
fn steps(tasks: i64) -> i32 {
    let conn = Connection::open_in_memory().unwrap();
    schema::migrate(&conn, 0).unwrap();
    let fill = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO task_state (owner_id, task, state, status_at, status_seq, last_seq, message_seq, turn, epoch, op_epoch,
                                last_op, deadline_at)
        SELECT 1, 'parked ' || n, 6, n, 3, 3, 1, 1, 1, 1, 1, 1000000 + n FROM n";
    conn.execute(fill, (tasks,)).unwrap();
    let fill = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
        INSERT INTO runs (owner_id, task, agent, priority, run_at, attempt, epoch, handed_back, losses, stage, queue_until)
        SELECT 1, 'later ' || n, 'echo', 0, 1000000 + n, 1, 0, 0, 0, 1, 2000000 + n FROM n";
    conn.execute(fill, (tasks,)).unwrap();
    let mut search = conn.prepare(due_work::TIMES).unwrap();
    let passed = search
        .query_row(named_params! { ":now": 7, ":by_force": 7 }, |row| row.get::<_, bool>("passed"));
    assert!(!passed.unwrap(), "nothing is due");
    search.get_status(StatementStatus::VmStep)
}

#[test]
fn a_search_costs_the_same_however_many_tasks_wait() {
    assert_eq!(steps(10), steps(20_000));
}
