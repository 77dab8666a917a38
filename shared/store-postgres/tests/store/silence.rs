//! Connections that go silent, and answers that are lost: the store goes on without them.

use crate::{
    proxy::Proxy,
    scene::{LIMIT, TestStore, append, asks, complete, follow, open, open_at, status},
};
use futures::{StreamExt, future::join_all};
use longhaul_domain::{
    BlobHash, Checkpoint, CheckpointName, Json, OwnerId, ParkedState, Seq, TaskKey, TaskState,
    WorkerId,
};
use longhaul_runtime::{IdSource, SystemIds, spawn};
use longhaul_store::{
    AcceptFollowUp, Accepted, Appended, FollowedUp, IntakeStore, LogSignal, NewWorker, ReadStore,
    SettleAs, Settled, SignalSource, SignalStream, SnapshotOptions, Store, TaskBudget, WorkerStore,
};
use longhaul_store_postgres::PostgresOptions;
use longhaul_tests::{Database, eventually};
use sqlx_core::{connection::Connection, executor::Executor};
use sqlx_postgres::PgConnection;
use std::{process::Command, sync::Arc, time::Duration};
use tokio::time::timeout;

async fn hears(signals: &mut SignalStream<LogSignal>, key: TaskKey, within: Duration) -> bool {
    let heard = timeout(within, async {
        while let Some(signal) = signals.next().await {
            if matches!(signal, LogSignal::Grown(grown) if grown.iter().any(|(it, _)| *it == key)) {
                return true;
            }
        }
        false
    });
    heard.await.unwrap_or(false)
}

/// A session of its own that holds a lock on a table until it is told to let go.
async fn locked(database: &Database, table: &str) -> PgConnection {
    let mut session = PgConnection::connect(&database.url()).await.unwrap();
    session.execute("begin").await.unwrap();
    let lock = format!("lock table {table} in access exclusive mode");
    session.execute(sqlx_core::sql_str::AssertSqlSafe(lock)).await.unwrap();
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_replaced() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 4).await;
    let other = open(&scene.database).await;
    let mut signals = scene.store.log_signals().await.unwrap();
    scene.accepted().await;
    let run = scene.claimed().await;
    follow(&scene.store, &mut signals, run.key).await;
    other.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    assert!(hears(&mut signals, run.key, LIMIT).await);
    other.accept_new(asks()).await.unwrap();

    proxy.silence();
    eventually(LIMIT, "runs are claimed again", async || {
        match scene.store.claim(scene.request(1)).await {
            Ok(runs) if !runs.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let mut heard = false;
    // Longer than it takes to notice, shorter than it takes TCP.
    for op in 2..62 {
        other.append(append(&run, op, vec![status(TaskState::Working)])).await.unwrap();
        heard = hears(&mut signals, run.key, Duration::from_secs(1)).await;
        if heard {
            break;
        }
    }
    assert!(heard, "the new connection hears");
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_given_up_makes_room_for_another() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    let key = scene.accepted().await;
    proxy.silence();
    for _ in 0..4 {
        let read = scene.store.read_task(key, SnapshotOptions::ALL);
        let _ = timeout(Duration::from_millis(200), read).await;
    }
    eventually(LIMIT, "the store reads again", async || {
        scene.store.read_task(key, SnapshotOptions::ALL).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_when_the_server_is_silent() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 4).await;
    scene.accepted().await;
    proxy.silence();
    let store = Arc::clone(&scene.store);
    let begun = spawn("a call that hangs", async move { store.accept_new(asks()).await });
    tokio::task::yield_now().await;
    timeout(Duration::from_secs(20), scene.store.close()).await.expect("it ends");
    begun.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_last_is_heard_although_the_store_is_closed_at_once() {
    let scene = TestStore::new().await;
    let other = open(&scene.database).await;
    let mut signals = other.log_signals().await.unwrap();
    let key = scene.accepted().await;
    follow(&other, &mut signals, key).await;
    let run = scene.claimed().await;
    scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    scene.store.close().await;
    assert!(hears(&mut signals, key, LIMIT).await);
    other.close().await;
}

/// Makes a call on connections that lose the answer, and ends them once the database says that it was committed.
async fn answer_lost<T: Send + 'static>(
    scene: &TestStore,
    proxy: &Proxy,
    committed: &str,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let call = spawn("a call", call);
    eventually(LIMIT, "the write is committed", async || {
        let count = scene.database.sql(committed);
        if count == "1" { Ok(()) } else { Err(count) }
    })
    .await;
    proxy.cut();
    call.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_acceptance_was_answered_to_nobody_is_told_when_it_is_found() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    // The statement is known to every connection, so that it leaves in one piece.
    for _ in 0..8 {
        scene.accepted().await;
    }
    let mut signals = scene.store.log_signals().await.unwrap();
    let (store, new) = (Arc::clone(&scene.store), asks());
    let key = new.key;
    let committed = format!("select count(*) from tasks where task_id = '{}'", key.task);
    let call = async move { store.accept_new(new).await.unwrap() };
    proxy.mute();
    let accepted = answer_lost(&scene, &proxy, &committed, call).await;
    assert!(matches!(accepted, Accepted::Created { seq: Seq(1), .. }), "{accepted:?}");
    assert!(hears(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_take_long_leave_room_for_writes() {
    let scene = TestStore::new().await;
    let options =
        PostgresOptions { max_connections: 4, ..PostgresOptions::new(scene.database.url()) };
    let store = open_at(options).await;
    let mut lock = locked(&scene.database, "blobs").await;
    let reads: Vec<_> = (0..12)
        .map(|_| {
            let store = Arc::clone(&store);
            spawn("a slow read", async move {
                store.read_blobs(OwnerId::LOCAL, vec![BlobHash([1; 32])]).await.map(drop)
            })
        })
        .collect();
    eventually(LIMIT, "reads wait for the table", async || {
        let waiting = scene.database.sql(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        );
        if waiting == "3" { Ok(()) } else { Err(waiting) }
    })
    .await;
    let id = WorkerId::new(SystemIds.uuid_v7());
    let worker = NewWorker { id, name: "w".to_owned(), agents: vec![], lease: LIMIT };
    store.register_worker(worker).await.unwrap();
    lock.execute("rollback").await.unwrap();
    join_all(reads).await;
    store.close().await;
}

fn signal(how: &str, pid: &str) {
    assert!(Command::new("kill").args([how, pid]).status().unwrap().success());
}

/// Backends that wait for a lock with a statement of this name.
fn waiting(database: &Database, statement: &str) -> String {
    database.sql(&format!(
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '-- store::{statement}%'"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_the_server_makes_after_its_connection_broke_strands_no_run() {
    let server = longhaul_tests::Postgres::private();
    let database = Database::create_on(&server);
    let (scene, proxy) = TestStore::behind_a_proxy(database, Some(server), 4).await;
    // The statement is known to every connection, so that it leaves in one piece.
    for _ in 0..8 {
        scene.store.claim(scene.request(1)).await.unwrap();
    }
    let (one, two) = (scene.accepted().await, scene.accepted().await);
    let mut lock = locked(&scene.database, "runs").await;
    let (store, request) = (Arc::clone(&scene.store), scene.request(1));
    let claim = spawn("a claim", async move { store.claim(request).await });
    let late = eventually(LIMIT, "the claim waits", async || {
        let pid = waiting(&scene.database, "claim");
        if pid.is_empty() { Err("nobody waits") } else { Ok(pid) }
    })
    .await;
    signal("-STOP", &late);
    proxy.cut();
    eventually(LIMIT, "the next try is under way", async || {
        let waits = waiting(&scene.database, "%").lines().count();
        if waits == 2 { Ok(()) } else { Err(waits) }
    })
    .await;
    lock.execute("rollback").await.unwrap();
    let mut handed_out: Vec<TaskKey> =
        claim.await.unwrap().unwrap().iter().map(|run| run.key).collect();
    assert_eq!(handed_out.len(), 1);
    signal("-CONT", &late);
    eventually(LIMIT, "the first try is carried out all the same", async || {
        let held = scene.database.sql("select count(*) from runs where worker is not null");
        if held == "2" { Ok(()) } else { Err(held) }
    })
    .await;
    let claimed = scene.store.claim(scene.request(1)).await.unwrap();
    handed_out.extend(claimed.iter().map(|run| run.key));
    handed_out.sort_unstable();
    assert_eq!(handed_out, [one, two]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_is_lost_is_answered_as_if_it_had_come() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    let key = scene.accepted().await;
    let run = scene.claimed().await;
    let mut park = complete(&run, 1);
    park.how = SettleAs::Park(ParkedState::InputRequired);
    park.output.entries = vec![status(TaskState::Working), status(TaskState::InputRequired)];
    scene.store.settle(park).await.unwrap();
    let mut signals = scene.store.log_signals().await.unwrap();
    let (store, accept) = (Arc::clone(&scene.store), asks().accept);
    let committed = format!("select count(*) from log where task_id = '{}' and seq = 4", key.task);
    let call = async move {
        store
            .accept_follow_up(AcceptFollowUp { key, accept, budget: TaskBudget::UNLIMITED })
            .await
            .unwrap()
    };
    proxy.mute_from_commit();
    let outcome = answer_lost(&scene, &proxy, &committed, call).await;
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(4), last: Seq(5), woken: true });
    assert!(hears(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_whose_answer_is_lost_is_told_when_it_is_found() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    let key = scene.accepted().await;
    let run = scene.claimed().await;
    scene.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    let mut signals = scene.store.log_signals().await.unwrap();
    let (store, mut output) =
        (Arc::clone(&scene.store), append(&run, 2, vec![status(TaskState::Working)]));
    // Output with a checkpoint is written with locks and a commit.
    let name = CheckpointName::new("step").unwrap();
    output.checkpoints.push(Checkpoint { name, value: Json::parse("1").unwrap() });
    let committed = format!("select count(*) from log where task_id = '{}' and seq = 3", key.task);
    let call = async move { store.append(output).await.unwrap() };
    proxy.mute_from_commit();
    let outcome = answer_lost(&scene, &proxy, &committed, call).await;
    assert_eq!(outcome, Appended::Already { last: Seq(3) });
    assert!(hears(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_one_statement_whose_answer_is_lost_is_told_when_it_is_found() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 4).await;
    let key = scene.accepted().await;
    let run = scene.claimed().await;
    // The statement is known to the connection that is kept, so that it leaves in one piece.
    for op in 1..=8 {
        scene.store.append(append(&run, op, vec![status(TaskState::Working)])).await.unwrap();
    }
    let mut signals = scene.store.log_signals().await.unwrap();
    let (store, end) = (Arc::clone(&scene.store), complete(&run, 9));
    let committed = format!("select count(*) from log where task_id = '{}' and seq = 11", key.task);
    let call = async move { store.settle(end).await.unwrap() };
    proxy.mute();
    let outcome = answer_lost(&scene, &proxy, &committed, call).await;
    // Now, where that connection had been idle for so long that another one took its place.
    let last = Seq(11);
    assert!([Settled::Already { last }, Settled::Now { last }].contains(&outcome), "{outcome:?}");
    assert!(hears(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_silent_connections_are_found_out_by_the_first() {
    let (scene, proxy) = TestStore::behind_a_proxy(Database::create(), None, 12).await;
    let key = scene.accepted().await;
    // Opens as many connections as there may be.
    let reads = || join_all((0..48).map(|_| scene.store.read_task(key, SnapshotOptions::ALL)));
    assert!(reads().await.iter().all(Result::is_ok));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    proxy.silence();
    let begun = tokio::time::Instant::now();
    // One after the other, as a worker with little to do would: each takes the connection that was used last.
    for _ in 0..12 {
        let read = scene.store.read_task(key, SnapshotOptions::ALL).await;
        assert!(read.is_ok(), "{read:?}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "not two seconds for each: {took:?}");
}
