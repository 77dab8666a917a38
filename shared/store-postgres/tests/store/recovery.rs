//! Recovery without help: nothing acknowledged is lost.

use crate::test_store::{
    LIMIT, TestStore, append, complete, follow, new_task_request, open, status, wait_until_joined,
};
use futures::{StreamExt, future::join_all};
use longhaul_domain::{Seq, TaskKey, TaskState};
use longhaul_store::{
    Accepted, Appended, ClaimedRun, IntakeStore, LogSignal, ReadLimit, ReadStore, Settled,
    SignalSource, SnapshotOptions, Store, StoreError, WorkerStore,
};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use longhaul_tests::{Database, eventually};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Acknowledged tasks.
#[derive(Default)]
struct AcknowledgedWork {
    accepted: Mutex<Vec<TaskKey>>,
    completed: Mutex<Vec<TaskKey>>,
    stop: AtomicBool,
}

impl AcknowledgedWork {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
    fn counts(&self) -> (usize, usize) {
        (self.accepted.lock().unwrap().len(), self.completed.lock().unwrap().len())
    }
    /// Waits until this many more tasks are accepted and completed.
    async fn progress(&self, more: usize) {
        let (accepted, completed) = self.counts();
        eventually(LIMIT, "work goes on", async || {
            let now = self.counts();
            let done = now.0 >= accepted + more && now.1 >= completed + more;
            if done { Ok(()) } else { Err(now) }
        })
        .await;
    }
}

/// Retries a call while the store is unavailable, as a client does.
async fn retry_until_available<T, Fut>(call: impl Fn() -> Fut) -> T
where
    Fut: Future<Output = Result<T, StoreError>>,
{
    loop {
        match call().await {
            Ok(done) => return done,
            Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

async fn accepts(test: &TestStore, record: &AcknowledgedWork) {
    while record.goes_on() {
        let new = new_task_request();
        let accepted = retry_until_available(|| test.store.accept_new(new.clone())).await;
        match accepted {
            Accepted::Created { .. } => {}
            Accepted::Duplicate { task, .. } => assert_eq!(task, new.key.task),
            Accepted::KeyReused | Accepted::TaskExists => panic!("the key and the task are new"),
        }
        record.accepted.lock().unwrap().push(new.key);
    }
}

async fn works(test: &TestStore, record: &AcknowledgedWork) {
    while record.goes_on() {
        let runs = retry_until_available(|| test.store.claim(test.request(4))).await;
        for run in runs {
            completes(test, record, run).await;
        }
        tokio::task::yield_now().await;
    }
}

async fn completes(test: &TestStore, record: &AcknowledgedWork, run: ClaimedRun) {
    let output = append(&run, 1, vec![status(TaskState::Working)]);
    match retry_until_available(|| test.store.append(output.clone())).await {
        Appended::Now { .. } | Appended::Already { .. } => {}
        // The crash lost the claim, whose commit had not waited for the disk.
        Appended::Fenced | Appended::Ended(_) => return,
    }
    let settle = complete(&run, 2);
    match retry_until_available(|| test.store.settle(settle.clone())).await {
        Settled::Now { .. } | Settled::Already { .. } => {
            record.completed.lock().unwrap().push(run.key);
        }
        other => panic!("{other:?}"),
    }
}

async fn under_load(
    test: &mut TestStore,
    trouble: impl AsyncFnOnce(&mut TestStore, &AcknowledgedWork),
) {
    let record = Arc::new(AcknowledgedWork::default());
    // A separate handle for the load, because the failure needs `&mut` access to the server.
    let load = Arc::new(TestStore {
        store: Arc::clone(&test.store),
        worker: test.worker,
        database: Database::create(),
        server: None,
    });
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (load, record) = (Arc::clone(&load), Arc::clone(&record));
            longhaul_runtime::spawn("load", async move {
                if n < 4 { accepts(&load, &record).await } else { works(&load, &record).await }
            })
        })
        .collect();
    record.progress(50).await;
    trouble(test, &record).await;
    record.progress(50).await;
    record.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert_nothing_is_lost(test, &record).await;
}

async fn assert_nothing_is_lost(test: &TestStore, record: &AcknowledgedWork) {
    let accepted = record.accepted.lock().unwrap().clone();
    let completed = record.completed.lock().unwrap().clone();
    for key in accepted {
        let task = test.store.read_task(key, SnapshotOptions::ALL).await.unwrap();
        assert!(task.is_some(), "{key:?} was acknowledged and is gone");
        let page = test.store.read_log(key, Seq::START, ReadLimit::default()).await.unwrap();
        let entries = page.unwrap().entries;
        let places: Vec<i64> = entries.iter().map(|entry| entry.seq.0).collect();
        assert!((1..).zip(&places).all(|(at, place)| at == *place), "{places:?}");
        let ends = entries.iter().filter_map(|entry| entry.body.status());
        assert!(ends.filter(|change| change.state.is_terminal()).count() <= 1);
    }
    for key in completed {
        let task = test.store.read_task(key, SnapshotOptions::STATUS).await.unwrap().unwrap();
        assert_eq!(task.status.state, TaskState::Completed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_crashes() {
    let mut test = TestStore::private(&[]).await;
    under_load(&mut test, async |test, record| {
        for _ in 0..2 {
            let server = test.server.as_mut().unwrap();
            tokio::task::block_in_place(|| {
                server.stop_immediate();
                server.start();
            });
            record.progress(20).await;
        }
    })
    .await;
    test.store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_connections_are_killed() {
    let mut test = TestStore::private(&[]).await;
    under_load(&mut test, async |test, record| {
        for _ in 0..10 {
            test.database.sql(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where application_name = 'longhaul' and datname = current_database()",
            );
            record.progress(5).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reach_other_processes_also_after_a_lost_connection() {
    let test = TestStore::new().await;
    let other = open(&test.database).await;
    let mut signals = other.log_signals().await.unwrap();
    // New tasks are not signalled to other processes; output of runs is.
    let key = test.accept_task().await;
    let run = test.claim_one().await;
    follow(&other, &mut signals, key).await;
    test.store.append(append(&run, 1, vec![status(TaskState::Working)])).await.unwrap();
    let heard = |signal: &LogSignal, key: TaskKey, seq: i64| match signal {
        LogSignal::Grown(tasks) => tasks.contains(&(key, Seq(seq))),
        LogSignal::Joined(_) | LogSignal::Missed => false,
    };
    let wait = tokio::time::timeout(LIMIT, async {
        while !heard(&signals.next().await.unwrap(), key, 2) {}
    });
    wait.await.expect("the other process hears");

    test.database.sql(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and application_name = 'longhaul'",
    );
    let wait = tokio::time::timeout(LIMIT, async {
        // Once when the connection is lost and once when the new one is up.
        for _ in 0..2 {
            while signals.next().await.unwrap() != LogSignal::Missed {}
        }
        wait_until_joined(&mut signals, key).await;
        test.store.append(append(&run, 2, vec![status(TaskState::Working)])).await.unwrap();
        while !heard(&signals.next().await.unwrap(), key, 3) {}
    });
    wait.await.expect("it says that it missed something, and hears again");
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_the_database_rejects_fails_alone() {
    let test = TestStore::new().await;
    let there = test.accept_task().await;
    let mut new: Vec<_> = (0..40).map(|_| new_task_request()).collect();
    // The task id exists already.
    new[17].key = there;
    let accepted = join_all(new.into_iter().map(|new| test.store.accept_new(new))).await;
    for (at, outcome) in accepted.into_iter().enumerate() {
        match outcome {
            Ok(Accepted::Created { .. }) if at != 17 => {}
            Ok(Accepted::TaskExists) if at == 17 => {}
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_makes_the_store_unavailable_and_not_hang() {
    let mut test = TestStore::private(&[]).await;
    test.server.as_mut().unwrap().stop_immediate();
    let outcome =
        tokio::time::timeout(LIMIT, test.store.accept_new(new_task_request())).await.unwrap();
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let options = PostgresOptions {
        start_timeout: Duration::from_millis(300),
        ..PostgresOptions::new(test.database.url())
    };
    let ids = Arc::new(longhaul_runtime::SystemIds);
    let outcome = PostgresStore::connect(options, ids).await.map(drop);
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    test.server.as_mut().unwrap().start();
    eventually(LIMIT, "the store answers again", async || test.store.check().await).await;
}
