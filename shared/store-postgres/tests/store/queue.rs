//! The queue: owners take turns, limits hold across claimers, and delayed runs become runnable.

use crate::test_store::{
    LIMIT, REAP_REQUEST, TestStore, complete, echo_agent, open, register_worker,
};
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

fn owners(test: &TestStore, number: i32) {
    test.database.sql(&format!(
        "insert into owners (name) select 'o' || n from generate_series(2, {number}) n"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_owner_does_not_delay_another() {
    let test = TestStore::new().await;
    owners(&test, 3);
    join_all((0..200).map(|_| test.accept_with(OwnerId(1), RunOptions::default()))).await;
    let late = [
        test.accept_with(OwnerId(2), RunOptions::default()).await,
        test.accept_with(OwnerId(3), RunOptions::default()).await,
    ];
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.extend(test.store.claim(test.request(1)).await.unwrap());
    }
    assert_eq!(claimed.len(), 4);
    for key in late {
        assert!(claimed.iter().any(|run| run.key == key), "{claimed:?}");
    }
    let rest = test.store.claim(test.request(300)).await.unwrap();
    assert_eq!(rest.len(), 198, "nobody is forgotten in one claim");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_shares_go_to_other_owners() {
    let test = TestStore::new().await;
    owners(&test, 5);
    for owner in [1, 1, 1, 1, 1, 1, 1, 2, 3, 3] {
        test.accept_with(OwnerId(owner), RunOptions::default()).await;
    }
    let claimed = test.store.claim(test.request(8)).await.unwrap();
    let mut of: BTreeMap<i32, usize> = BTreeMap::new();
    for run in &claimed {
        *of.entry(run.key.owner.0).or_default() += 1;
    }
    assert_eq!(of, BTreeMap::from([(1, 5), (2, 1), (3, 2)]));
}

/// Running tasks per limit, as the claimers count them.
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
async fn concurrent_claimers_never_exceed_a_limit_and_leave_nothing() {
    const TASKS: usize = 240;
    let test = TestStore::new().await;
    owners(&test, 3);
    let mut keys = BTreeMap::new();
    for n in 0..TASKS {
        let key = ["a", "b", "c"][n % 3];
        let owner = OwnerId(1 + i32::try_from(n % 2).unwrap());
        keys.insert(test.accept_with(owner, keyed(key)).await, key);
    }
    let (keys, gauge, done) =
        (Arc::new(keys), Arc::new(ConcurrencyTally::default()), Arc::new(AtomicUsize::new(0)));
    let mut claimers = Vec::new();
    let mut stores = vec![Arc::clone(&test.store)];
    stores.push(open(&test.database).await);
    stores.push(open(&test.database).await);
    for store in &stores {
        for _ in 0..2 {
            let worker = register_worker(store, LIMIT * 10).await;
            let slots = vec![AgentSlots::new(echo_agent(), 4)];
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
                        // Count the end before it happens, so that a run started in between is not
                        // a violation.
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
            let over = test.database.sql(
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
    assert_eq!(test.database.sql("select count(*) from runs"), "0");
    for store in &stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_back_run_is_ready_when_its_key_is_free() {
    let test = TestStore::new().await;
    let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
    let mut request = test.request(10);
    request.slots[0].limits = limits;
    let first = test.accept_with(OwnerId(1), keyed("k")).await;
    let second = test.accept_with(OwnerId(1), keyed("k")).await;
    let held =
        || test.database.sql("select string_agg(task_id::text, ' ') from runs where stage = 2");
    let run = test.store.claim(request.clone()).await.unwrap().pop().unwrap();
    assert_eq!(run.key, first);
    assert_eq!(held(), second.task.to_string());
    assert!(test.store.claim(request.clone()).await.unwrap().is_empty());
    test.store.settle(complete(&run, 1)).await.unwrap();
    assert_eq!(held(), "");
    let run = test.store.claim(request.clone()).await.unwrap().pop().unwrap();
    assert_eq!(run.key, second);
    // A full scan finds a run that was not unblocked.
    let third = test.accept_with(OwnerId(1), keyed("other")).await;
    test.database.sql(&format!("update runs set stage = 2 where task_id = '{}'", third.task));
    let reaping = open(&test.database).await.reap(REAP_REQUEST).await.unwrap();
    assert_eq!(reaping.done, [Reaped::Due { key: third, agent: echo_agent() }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_run_is_offered_when_it_is_due() {
    let test = TestStore::new().await;
    let delay = Duration::from_millis(400);
    let options = RunOptions { delay, ..RunOptions::default() };
    let key = test.accept_with(OwnerId(1), options).await;
    let reaping = test.store.reap(REAP_REQUEST).await.unwrap();
    assert!(reaping.done.is_empty() && reaping.again_in <= delay, "{reaping:?}");
    assert!(test.store.claim(test.request(1)).await.unwrap().is_empty());
    eventually(LIMIT, "it is due", async || {
        let reaping = test.store.reap(REAP_REQUEST).await.unwrap();
        let due = Reaped::Due { key, agent: echo_agent() };
        if reaping.done == [due] { Ok(()) } else { Err(reaping) }
    })
    .await;
    assert_eq!(test.claim_one().await.key, key);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_timeout_and_a_deadline_end_an_unclaimed_task() {
    let test = TestStore::new().await;
    let soon = Some(Duration::from_millis(50));
    let slow = RunOptions { queue_timeout: soon, ..RunOptions::default() };
    let slow = test.accept_with(OwnerId(1), slow).await;
    let passed = RunOptions {
        deadline: Some(longhaul_domain::Timestamp::UNIX_EPOCH),
        ..RunOptions::default()
    };
    let passed = test.accept_with(OwnerId(1), passed).await;
    eventually(LIMIT, "both have failed", async || {
        test.store.reap(REAP_REQUEST).await.unwrap();
        let dead = test.database.sql(
            "select string_agg(because || ' ' || attempts, ', ' order by because) from dead_letters_overview",
        );
        if dead == "deadline 0, queue-timeout 0" { Ok(()) } else { Err(dead) }
    })
    .await;
    for key in [slow, passed] {
        let task = test.store.read_task(key, SnapshotOptions::STATUS).await.unwrap().unwrap();
        assert_eq!(task.status.state, TaskState::Failed);
    }
    assert_eq!(test.database.sql("select count(*) from runs"), "0");
    assert_eq!(test.database.sql("select count(deadline_at) from task_state"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_without_claimable_runs_do_not_block_limited_claims_of_others() {
    let test = TestStore::new().await;
    owners(&test, 7);
    for owner in 1..7 {
        test.accept_with(OwnerId(owner), RunOptions::default()).await;
    }
    test.database.sql("update runs set version = 'of another release'");
    let last = test.accept_with(OwnerId(7), RunOptions::default()).await;
    let mut request = test.request(1);
    request.slots[0].limits = LIMITS;
    request.slots[0].pinned = Some("of this release".into());
    let mut claimed = Vec::new();
    for _ in 0..2 {
        claimed.extend(test.store.claim(request.clone()).await.unwrap());
    }
    assert_eq!(claimed.iter().map(|run| run.key).collect::<Vec<_>>(), [last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_left_on_an_ended_task_is_cleared() {
    let test = TestStore::new().await;
    test.accept_task().await;
    test.store.settle(complete(&test.claim_one().await, 1)).await.unwrap();
    // As a release without deadlines leaves it.
    test.database.sql("update task_state set deadline_at = '1970-01-02'");
    assert!(test.store.reap(REAP_REQUEST).await.unwrap().done.is_empty());
    assert_eq!(test.database.sql("select count(deadline_at) from task_state"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_expired_dedupe_keys_are_pruned() {
    let test = TestStore::new().await;
    test.accept_task().await;
    test.database.sql(
        "insert into message_keys
        select 1, sha256(n::text::bytea), sha256('x'), gen_random_uuid(), 1, now() - interval '25 hours'
        from generate_series(1, 1000) n",
    );
    eventually(LIMIT, "the old keys are gone", async || {
        test.store.reap(REAP_REQUEST).await.unwrap();
        let left = test.database.sql("select count(*) from message_keys");
        if left == "1" { Ok(()) } else { Err(left) }
    })
    .await;
}
