//! Owners take turns, limits hold whoever claims, and what was put off becomes runnable.

use crate::scene::{LIMIT, REAP, TestStore, complete, echo, open, worker_of};
use futures::future::join_all;
use longhaul_domain::{ConcurrencyLimits, OwnerId, TaskState};
use longhaul_runtime::spawn;
use longhaul_store::{
    AgentSlots, ClaimRequest, ClaimedRun, ReadStore, Reaped, RunOptions, Settled, SnapshotOptions,
    Store, WorkerStore,
};
use longhaul_store_postgres::PostgresStore;
use longhaul_tests::eventually;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn keyed(key: &str) -> RunOptions {
    RunOptions { concurrency_key: Some(key.to_owned()), ..RunOptions::default() }
}

fn owners(scene: &TestStore, number: i32) {
    scene.database.sql(&format!(
        "insert into owners (name) select 'o' || n from generate_series(2, {number}) n"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_owners_crowd_does_not_make_another_wait() {
    let scene = TestStore::new().await;
    owners(&scene, 3);
    join_all((0..200).map(|_| scene.accepted_with(OwnerId(1), RunOptions::default()))).await;
    let late = [
        scene.accepted_with(OwnerId(2), RunOptions::default()).await,
        scene.accepted_with(OwnerId(3), RunOptions::default()).await,
    ];
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.extend(scene.store.claim(scene.request(1)).await.unwrap());
    }
    assert_eq!(claimed.len(), 4);
    for key in late {
        assert!(claimed.iter().any(|run| run.key == key), "{claimed:?}");
    }
    let rest = scene.store.claim(scene.request(300)).await.unwrap();
    assert_eq!(rest.len(), 198, "nobody is forgotten in one claim");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_some_owners_leave_go_to_the_others() {
    let scene = TestStore::new().await;
    owners(&scene, 5);
    for owner in [1, 1, 1, 1, 1, 1, 1, 2, 3, 3] {
        scene.accepted_with(OwnerId(owner), RunOptions::default()).await;
    }
    let claimed = scene.store.claim(scene.request(8)).await.unwrap();
    let mut of: BTreeMap<i32, usize> = BTreeMap::new();
    for run in &claimed {
        *of.entry(run.key.owner.0).or_default() += 1;
    }
    assert_eq!(of, BTreeMap::from([(1, 5), (2, 1), (3, 2)]));
}

/// How many run of everything that is limited together, as the claimers themselves know it.
#[derive(Default)]
struct ConcurrencyTally(Mutex<BTreeMap<String, usize>>);

impl ConcurrencyTally {
    fn change(&self, run: &ClaimedRun, key: &str, up: bool) {
        let mut counts = self.0.lock().unwrap();
        let owner = run.key.owner.0;
        for (what, most) in
            [("all".to_owned(), 6), (format!("{owner}"), 4), (format!("{owner}/{key}"), 2)]
        {
            let count = counts.entry(what.clone()).or_default();
            *count = if up { *count + 1 } else { *count - 1 };
            assert!(*count <= most, "{count} of {what} run at once");
        }
    }
}

const LIMITS: ConcurrencyLimits =
    ConcurrencyLimits { total: Some(6), per_owner: Some(4), per_key: Some(2) };

async fn claims_limited(store: &PostgresStore, request: &ClaimRequest) -> Vec<ClaimedRun> {
    let mut slots = request.slots.clone();
    for slot in &mut slots {
        slot.limits = LIMITS;
    }
    store.claim(ClaimRequest { slots, ..request.clone() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claimers_together_never_exceed_a_limit_and_leave_nothing() {
    const TASKS: usize = 240;
    let scene = TestStore::new().await;
    owners(&scene, 3);
    let mut keys = BTreeMap::new();
    for n in 0..TASKS {
        let key = ["a", "b", "c"][n % 3];
        let owner = OwnerId(1 + i32::try_from(n % 2).unwrap());
        keys.insert(scene.accepted_with(owner, keyed(key)).await, key);
    }
    let (keys, gauge, done) =
        (Arc::new(keys), Arc::new(ConcurrencyTally::default()), Arc::new(AtomicUsize::new(0)));
    let mut claimers = Vec::new();
    let mut stores = vec![Arc::clone(&scene.store)];
    stores.push(open(&scene.database).await);
    stores.push(open(&scene.database).await);
    for store in &stores {
        for _ in 0..2 {
            let worker = worker_of(store, LIMIT * 10).await;
            let slots = vec![AgentSlots::new(echo(), 4)];
            let request = ClaimRequest { worker, slots, limit: 4 };
            let (store, keys, gauge, done) =
                (Arc::clone(store), Arc::clone(&keys), Arc::clone(&gauge), Arc::clone(&done));
            claimers.push(spawn("claimer", async move {
                while done.load(Ordering::Relaxed) < TASKS {
                    let runs = claims_limited(&store, &request).await;
                    for run in &runs {
                        gauge.change(run, keys[&run.key], true);
                    }
                    for run in runs {
                        // Counted as gone before it is: then nobody is blamed for what begins in between.
                        gauge.change(&run, keys[&run.key], false);
                        let settled = store.settle(complete(&run, 1)).await.unwrap();
                        assert!(matches!(settled, Settled::Now { .. }), "{settled:?}");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    let counted = store.run_details(vec![]).await.unwrap();
                    assert!(counted.is_empty());
                }
            }));
        }
    }
    let watching = async {
        while done.load(Ordering::Relaxed) < TASKS {
            let over = scene.database.sql(
                "select count(*) from (
                    select 1 from runs where worker is not null group by owner_id, concurrency_key having count(*) > 2
                    union all
                    select 1 from runs where worker is not null group by owner_id having count(*) > 4
                    union all
                    select 1 from runs where worker is not null having count(*) > 6
                ) over",
            );
            assert_eq!(over, "0", "a limit is exceeded");
            tokio::task::yield_now().await;
        }
    };
    let all = async {
        watching.await;
        for claimer in claimers {
            claimer.await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT * 2, all).await.expect("nothing is left behind");
    assert_eq!(scene.database.sql("select count(*) from runs"), "0");
    for store in &stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_held_back_is_ready_when_its_key_is_free() {
    let scene = TestStore::new().await;
    let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
    let mut request = scene.request(10);
    request.slots[0].limits = limits;
    let first = scene.accepted_with(OwnerId(1), keyed("k")).await;
    let second = scene.accepted_with(OwnerId(1), keyed("k")).await;
    let held =
        || scene.database.sql("select string_agg(task_id::text, ' ') from runs where stage = 2");
    let run = scene.store.claim(request.clone()).await.unwrap().pop().unwrap();
    assert_eq!(run.key, first);
    assert_eq!(held(), second.task.to_string());
    assert!(scene.store.claim(request.clone()).await.unwrap().is_empty());
    scene.store.settle(complete(&run, 1)).await.unwrap();
    assert_eq!(held(), "");
    let run = scene.store.claim(request.clone()).await.unwrap().pop().unwrap();
    assert_eq!(run.key, second);
    // One that slipped through is found by a look from time to time.
    let third = scene.accepted_with(OwnerId(1), keyed("other")).await;
    scene.database.sql(&format!("update runs set stage = 2 where task_id = '{}'", third.task));
    let reaping = open(&scene.database).await.reap(REAP).await.unwrap();
    assert_eq!(reaping.done, [Reaped::Due { key: third, agent: echo() }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_off_is_offered_when_its_time_has_come() {
    let scene = TestStore::new().await;
    let delay = Duration::from_millis(400);
    let options = RunOptions { delay, ..RunOptions::default() };
    let key = scene.accepted_with(OwnerId(1), options).await;
    let reaping = scene.store.reap(REAP).await.unwrap();
    assert!(reaping.done.is_empty() && reaping.again_in <= delay, "{reaping:?}");
    assert!(scene.store.claim(scene.request(1)).await.unwrap().is_empty());
    eventually(LIMIT, "it is due", async || {
        let reaping = scene.store.reap(REAP).await.unwrap();
        let due = Reaped::Due { key, agent: echo() };
        if reaping.done == [due] { Ok(()) } else { Err(reaping) }
    })
    .await;
    assert_eq!(scene.claimed().await.key, key);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_timeout_and_a_deadline_end_a_task_that_nobody_runs() {
    let scene = TestStore::new().await;
    let soon = Some(Duration::from_millis(50));
    let slow = RunOptions { queue_timeout: soon, ..RunOptions::default() };
    let slow = scene.accepted_with(OwnerId(1), slow).await;
    let passed = RunOptions {
        deadline: Some(longhaul_domain::Timestamp::UNIX_EPOCH),
        ..RunOptions::default()
    };
    let passed = scene.accepted_with(OwnerId(1), passed).await;
    eventually(LIMIT, "both have failed", async || {
        scene.store.reap(REAP).await.unwrap();
        let dead = scene.database.sql(
            "select string_agg(because || ' ' || attempts, ', ' order by because) from dead_letters_overview",
        );
        if dead == "deadline 0, queue-timeout 0" { Ok(()) } else { Err(dead) }
    })
    .await;
    for key in [slow, passed] {
        let task = scene.store.read_task(key, SnapshotOptions::STATUS).await.unwrap().unwrap();
        assert_eq!(task.status.state, TaskState::Failed);
    }
    assert_eq!(scene.database.sql("select count(*) from runs"), "0");
    assert_eq!(scene.database.sql("select count(deadline_at) from task_state"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_of_whom_nothing_may_be_claimed_keep_no_limited_claim_from_the_others() {
    let scene = TestStore::new().await;
    owners(&scene, 7);
    for owner in 1..7 {
        scene.accepted_with(OwnerId(owner), RunOptions::default()).await;
    }
    scene.database.sql("update runs set version = 'of another release'");
    let last = scene.accepted_with(OwnerId(7), RunOptions::default()).await;
    let mut request = scene.request(1);
    request.slots[0].limits = LIMITS;
    request.slots[0].pinned = Some("of this release".into());
    let mut claimed = Vec::new();
    for _ in 0..2 {
        claimed.extend(scene.store.claim(request.clone()).await.unwrap());
    }
    assert_eq!(claimed.iter().map(|run| run.key).collect::<Vec<_>>(), [last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_an_ended_task_was_left_with_is_taken_off() {
    let scene = TestStore::new().await;
    scene.accepted().await;
    scene.store.settle(complete(&scene.claimed().await, 1)).await.unwrap();
    // As a program does that knows no deadlines.
    scene.database.sql("update task_state set deadline_at = '1970-01-02'");
    assert!(scene.store.reap(REAP).await.unwrap().done.is_empty());
    assert_eq!(scene.database.sql("select count(deadline_at) from task_state"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dedupe_keys_that_are_too_old_are_deleted_and_others_are_not() {
    let scene = TestStore::new().await;
    scene.accepted().await;
    scene.database.sql(
        "insert into message_keys
        select 1, sha256(n::text::bytea), sha256('x'), gen_random_uuid(), 1, now() - interval '25 hours'
        from generate_series(1, 1000) n",
    );
    eventually(LIMIT, "the old keys are gone", async || {
        scene.store.reap(REAP).await.unwrap();
        let left = scene.database.sql("select count(*) from message_keys");
        if left == "1" { Ok(()) } else { Err(left) }
    })
    .await;
}
