//! Silent connections and lost answers: the store carries on without them.

use crate::{
    proxy::Proxy,
    test_store::{
        LIMIT, TestStore, append, complete, follow, new_task_request, open, open_with, status,
    },
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

async fn receives_growth(
    signals: &mut SignalStream<LogSignal>,
    key: TaskKey,
    within: Duration,
) -> bool {
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

/// Opens a session that holds an exclusive lock on a table until it rolls back.
async fn locked(database: &Database, table: &str) -> PgConnection {
    let mut session = PgConnection::connect(&database.url()).await.unwrap();
    session.execute("begin").await.unwrap();
    let lock = format!("lock table {table} in access exclusive mode");
    session.execute(sqlx_core::sql_str::AssertSqlSafe(lock)).await.unwrap();
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_replaced() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 4).await;
    let other = open(&test.database).await;
    let mut signals = test.store.log_signals().await.unwrap();
    test.accept_task().await;
    let run = test.claim_one().await;
    follow(&test.store, &mut signals, run.key).await;
    other.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    assert!(receives_growth(&mut signals, run.key, LIMIT).await);
    other.accept_new(new_task_request()).await.unwrap();

    proxy.silence();
    eventually(LIMIT, "runs are claimed again", async || {
        match test.store.claim(test.request(1)).await {
            Ok(runs) if !runs.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let mut heard = false;
    // Longer than detection takes, shorter than TCP would take.
    for op in 2..62 {
        other.append(append(&run, op, vec![status(TaskState::Working)])).await.unwrap();
        heard = receives_growth(&mut signals, run.key, Duration::from_secs(1)).await;
        if heard {
            break;
        }
    }
    assert!(heard, "the new connection hears");
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_connection_frees_its_pool_slot() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    let key = test.accept_task().await;
    proxy.silence();
    for _ in 0..4 {
        let read = test.store.read_task(key, SnapshotOptions::ALL);
        let _ = timeout(Duration::from_millis(200), read).await;
    }
    eventually(LIMIT, "the store reads again", async || {
        test.store.read_task(key, SnapshotOptions::ALL).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_when_the_server_is_silent() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 4).await;
    test.accept_task().await;
    proxy.silence();
    let store = Arc::clone(&test.store);
    let begun =
        spawn("a call that hangs", async move { store.accept_new(new_task_request()).await });
    tokio::task::yield_now().await;
    timeout(Duration::from_secs(20), test.store.close()).await.expect("it ends");
    begun.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn final_signals_arrive_although_the_store_closes_at_once() {
    let test = TestStore::new().await;
    let other = open(&test.database).await;
    let mut signals = other.log_signals().await.unwrap();
    let key = test.accept_task().await;
    follow(&other, &mut signals, key).await;
    let run = test.claim_one().await;
    test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    test.store.close().await;
    assert!(receives_growth(&mut signals, key, LIMIT).await);
    other.close().await;
}

/// Makes a call whose answer is lost, and cuts its connection once the database shows the commit.
async fn answer_lost<T: Send + 'static>(
    test: &TestStore,
    proxy: &Proxy,
    committed: &str,
    call: impl Future<Output = T> + Send + 'static,
) -> T {
    let call = spawn("a call", call);
    eventually(LIMIT, "the write is committed", async || {
        let count = test.database.sql(committed);
        if count == "1" { Ok(()) } else { Err(count) }
    })
    .await;
    proxy.cut();
    call.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_acceptance_lost_its_answer_is_published_when_found() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    // Prepare the statement on every connection, so that it is sent in one packet.
    for _ in 0..8 {
        test.accept_task().await;
    }
    let mut signals = test.store.log_signals().await.unwrap();
    let (store, new) = (Arc::clone(&test.store), new_task_request());
    let key = new.key;
    let committed = format!("select count(*) from tasks where task_id = '{}'", key.task);
    let call = async move { store.accept_new(new).await.unwrap() };
    proxy.mute();
    let accepted = answer_lost(&test, &proxy, &committed, call).await;
    assert!(matches!(accepted, Accepted::Created { seq: Seq(1), .. }), "{accepted:?}");
    assert!(receives_growth(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reads_leave_connections_for_writes() {
    let test = TestStore::new().await;
    let options =
        PostgresOptions { max_connections: 4, ..PostgresOptions::new(test.database.url()) };
    let store = open_with(options).await;
    let mut lock = locked(&test.database, "blobs").await;
    let reads: Vec<_> = (0..12)
        .map(|_| {
            let store = Arc::clone(&store);
            spawn("a slow read", async move {
                store.read_blobs(OwnerId::LOCAL, vec![BlobHash([1; 32])]).await.map(drop)
            })
        })
        .collect();
    eventually(LIMIT, "reads wait for the table", async || {
        let waiting = test.database.sql(
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

/// Backends that wait for a lock in the statement with this label.
fn waiting(database: &Database, statement: &str) -> String {
    database.sql(&format!(
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '-- store::{statement}%'"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_executes_after_its_connection_broke_strands_no_run() {
    let server = longhaul_tests::Postgres::private();
    let database = Database::create_on(&server);
    let (test, proxy) = TestStore::behind_a_proxy(database, Some(server), 4).await;
    // Prepare the statement on every connection, so that it is sent in one packet.
    for _ in 0..8 {
        test.store.claim(test.request(1)).await.unwrap();
    }
    let (one, two) = (test.accept_task().await, test.accept_task().await);
    let mut lock = locked(&test.database, "runs").await;
    let (store, request) = (Arc::clone(&test.store), test.request(1));
    let claim = spawn("a claim", async move { store.claim(request).await });
    let late = eventually(LIMIT, "the claim waits", async || {
        let pid = waiting(&test.database, "claim");
        if pid.is_empty() { Err("nobody waits") } else { Ok(pid) }
    })
    .await;
    signal("-STOP", &late);
    proxy.cut();
    eventually(LIMIT, "the next try is under way", async || {
        let waits = waiting(&test.database, "%").lines().count();
        if waits == 2 { Ok(()) } else { Err(waits) }
    })
    .await;
    lock.execute("rollback").await.unwrap();
    let mut handed_out: Vec<TaskKey> =
        claim.await.unwrap().unwrap().iter().map(|run| run.key).collect();
    assert_eq!(handed_out.len(), 1);
    signal("-CONT", &late);
    eventually(LIMIT, "the first try is carried out all the same", async || {
        let held = test.database.sql("select count(*) from runs where worker is not null");
        if held == "2" { Ok(()) } else { Err(held) }
    })
    .await;
    let claimed = test.store.claim(test.request(1)).await.unwrap();
    handed_out.extend(claimed.iter().map(|run| run.key));
    handed_out.sort_unstable();
    assert_eq!(handed_out, [one, two]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_was_lost_gets_the_same_answer_again() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    let key = test.accept_task().await;
    let run = test.claim_one().await;
    let mut park = complete(&run, 1);
    park.how = SettleAs::Park(ParkedState::InputRequired);
    park.output.entries = vec![status(TaskState::Working), status(TaskState::InputRequired)];
    test.store.settle(park).await.unwrap();
    let mut signals = test.store.log_signals().await.unwrap();
    let (store, accept) = (Arc::clone(&test.store), new_task_request().accept);
    let committed = format!("select count(*) from log where task_id = '{}' and seq = 4", key.task);
    let call = async move {
        store
            .accept_follow_up(AcceptFollowUp { key, accept, budget: TaskBudget::UNLIMITED })
            .await
            .unwrap()
    };
    proxy.mute_from_commit();
    let outcome = answer_lost(&test, &proxy, &committed, call).await;
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(4), last: Seq(5), woken: true });
    assert!(receives_growth(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_whose_answer_was_lost_is_published_when_found() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 2).await;
    let key = test.accept_task().await;
    let run = test.claim_one().await;
    test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    let mut signals = test.store.log_signals().await.unwrap();
    let (store, mut output) =
        (Arc::clone(&test.store), append(&run, 2, vec![status(TaskState::Working)]));
    // Output with a checkpoint takes the locking path.
    let name = CheckpointName::new("step").unwrap();
    output.checkpoints.push(Checkpoint { name, value: Json::parse("1").unwrap() });
    let committed = format!("select count(*) from log where task_id = '{}' and seq = 3", key.task);
    let call = async move { store.append(output).await.unwrap() };
    proxy.mute_from_commit();
    let outcome = answer_lost(&test, &proxy, &committed, call).await;
    assert_eq!(outcome, Appended::Already { last: Seq(3) });
    assert!(receives_growth(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_path_settle_whose_answer_was_lost_is_published_when_found() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 4).await;
    let key = test.accept_task().await;
    let run = test.claim_one().await;
    // Prepare the statement on the cached connection, so that it is sent in one packet.
    for op in 1..=8 {
        test.store.append(append(&run, op, vec![status(TaskState::Working)])).await.unwrap();
    }
    let mut signals = test.store.log_signals().await.unwrap();
    let (store, end) = (Arc::clone(&test.store), complete(&run, 9));
    let committed = format!("select count(*) from log where task_id = '{}' and seq = 11", key.task);
    let call = async move { store.settle(end).await.unwrap() };
    proxy.mute();
    let outcome = answer_lost(&test, &proxy, &committed, call).await;
    // `Now` if that connection was idle too long and another replaced it.
    let last = Seq(11);
    assert!([Settled::Already { last }, Settled::Now { last }].contains(&outcome), "{outcome:?}");
    assert!(receives_growth(&mut signals, key, LIMIT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_silent_connection_exposes_the_others() {
    let (test, proxy) = TestStore::behind_a_proxy(Database::create(), None, 12).await;
    let key = test.accept_task().await;
    // Opens the maximum number of connections.
    let reads = || join_all((0..48).map(|_| test.store.read_task(key, SnapshotOptions::ALL)));
    assert!(reads().await.iter().all(Result::is_ok));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    proxy.silence();
    let begun = tokio::time::Instant::now();
    // Sequential reads, as of a worker with little to do: each takes the connection used last.
    for _ in 0..12 {
        let read = test.store.read_task(key, SnapshotOptions::ALL).await;
        assert!(read.is_ok(), "{read:?}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "not two seconds for each: {took:?}");
}
