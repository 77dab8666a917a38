//! Time limits: they end a task in any state, after a grace for a worker that runs it.

use crate::kit::{
    LONG_LEASE, REAP_ALL, RunWriter, TestClient, eventually, run_concurrently, working,
};
use longhaul_domain::{
    AgentName, ConcurrencyLimits, FailureKind, ParkedState, TaskKey, TaskState, TerminalState,
};
use longhaul_store::{
    Appended, CancelRequested, FollowedUp, ReapRequest, Reaped, RequestCancel, RunOptions, Settled,
    Store,
};
use std::{sync::Arc, time::Duration};

const SOON: Duration = Duration::from_millis(1);

fn failed(key: TaskKey, because: FailureKind) -> Vec<Reaped> {
    vec![Reaped::Failed { key, because }]
}

/// Checks that a task failed for this reason, and that its status says so.
async fn assert_failed(client: &TestClient, key: TaskKey, because: FailureKind) {
    let task = client.task(key).await;
    assert_eq!(task.status.state, TaskState::Failed);
    let details = task.status.message.expect("a failure is explained").metadata.unwrap();
    assert!(details.as_str().contains(because.name()), "{details:?}");
    let bodies = client.bodies(key).await;
    let ends = bodies.iter().filter(|b| b.status().is_some_and(|s| s.state.is_terminal()));
    assert_eq!(ends.count(), 1);
    assert_eq!(client.store.dead_letter(key).await.unwrap().unwrap().because, because);
    let worker = client.worker().await;
    assert!(!client.claim(worker, 10).await.iter().any(|claimed| claimed.key == key));
    assert!(client.reap().await.is_empty(), "once");
}

async fn within(client: &TestClient, time: Duration) -> RunOptions {
    RunOptions { deadline: Some(client.now().await + time), ..RunOptions::default() }
}

/// Creates a claimed task whose deadline is near. If claiming took longer, it tries again with more
/// time.
async fn running(client: &TestClient) -> RunWriter {
    let mut time = Duration::from_millis(100);
    for _ in 0..6 {
        let key = client.queued("hurry", within(client, time).await).await;
        let worker = client.worker().await;
        if let Some(claimed) = client.claim(worker, 1).await.pop() {
            assert_eq!(claimed.key, key);
            return RunWriter::new(worker, claimed);
        }
        client.store.request_cancel(RequestCancel { key, grace: LONG_LEASE }).await.unwrap();
        time *= 4;
    }
    panic!("a task can be claimed within its deadline");
}

/// Creates a claimed task with a queue timeout of a moment.
async fn running_in_time(client: &TestClient) -> (RunWriter, Duration) {
    let mut time = Duration::from_millis(50);
    for _ in 0..6 {
        let key = client.queued("hurry", waits_only(time)).await;
        let worker = client.worker().await;
        if let Some(claimed) = client.claim(worker, 1).await.pop() {
            return (RunWriter::new(worker, claimed), time);
        }
        client.store.request_cancel(RequestCancel { key, grace: LONG_LEASE }).await.unwrap();
        time *= 4;
    }
    panic!("a task can be claimed in time");
}

pub async fn a_deadline_ends_a_queued_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.queued("hurry", within(&client, SOON).await).await;
    assert_eq!(client.reap_until_done().await, failed(key, FailureKind::Deadline));
    assert_failed(&client, key, FailureKind::Deadline).await;
}

pub async fn a_deadline_ends_a_delayed_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let options = RunOptions { delay: LONG_LEASE, ..within(&client, SOON).await };
    let key = client.queued("hurry", options).await;
    assert_eq!(client.reap_until_done().await, failed(key, FailureKind::Deadline));
    assert_failed(&client, key, FailureKind::Deadline).await;
}

pub async fn a_deadline_ends_a_task_that_waits_for_its_next_attempt(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = running(&client).await;
    client.store.settle(run.retry(LONG_LEASE)).await.unwrap();
    assert_eq!(client.reap_until_done().await, failed(run.key(), FailureKind::Deadline));
    assert_failed(&client, run.key(), FailureKind::Deadline).await;
}

pub async fn a_deadline_ends_a_parked_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = running(&client).await;
    let outcome = client.store.settle(run.park(ParkedState::AuthRequired, "who?")).await.unwrap();
    assert!(matches!(outcome, Settled::Now { .. }), "{outcome:?}");
    assert_eq!(client.reap_until_done().await, failed(run.key(), FailureKind::Deadline));
    assert_failed(&client, run.key(), FailureKind::Deadline).await;
    let late = client.follow_up(run.key(), "me").await;
    assert_eq!(late, FollowedUp::Ended(TaskState::Failed));
}

pub async fn a_deadline_ends_a_task_that_was_held_back(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let keyed = |options| RunOptions { concurrency_key: Some("k".to_owned()), ..options };
    client.queued("first", keyed(RunOptions::default())).await;
    let key = client.queued("second", keyed(within(&client, SOON).await)).await;
    let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
    let worker = client.worker().await;
    assert_eq!(client.claim_slots(worker, client.slots(10, limits)).await.len(), 1);
    assert_eq!(client.reap_until_done().await, failed(key, FailureKind::Deadline));
    assert_failed(&client, key, FailureKind::Deadline).await;
}

pub async fn a_task_past_its_deadline_is_not_claimed(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.queued("too late", within(&client, Duration::ZERO).await).await;
    let worker = client.worker().await;
    // The deadline is the time at which the store was asked, which has passed.
    eventually("the clock advances", || async {
        client.now().await > client.details(key).await.deadline.expect("it has one")
    })
    .await;
    assert!(client.claim(worker, 10).await.is_empty());
    assert_eq!(client.state(key).await, TaskState::Submitted, "until a reaper runs");
}

pub async fn a_worker_past_the_deadline_is_cut_off_after_a_grace(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = running(&client).await;
    let deadline = run.claimed.deadline.expect("the executor knows its deadline");
    eventually("the deadline passes", || async { client.now().await > deadline }).await;
    assert!(client.reap().await.is_empty(), "the grace is long");
    assert_eq!(client.state(run.key()).await, TaskState::Submitted);
    let reap = ReapRequest { grace: SOON, ..REAP_ALL };
    assert_eq!(client.reap_until_done_as(reap).await, failed(run.key(), FailureKind::Deadline));
    let late = client.store.append(run.append(vec![working()])).await.unwrap();
    assert_eq!(late, Appended::Ended(TaskState::Failed));
    let late = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(late, Settled::Ended(TaskState::Failed));
    assert_failed(&client, run.key(), FailureKind::Deadline).await;
}

pub async fn deadline_and_end_have_one_winner(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..5 {
        let mut run = running(&client).await;
        let deadline = run.claimed.deadline.unwrap();
        eventually("it passes", || async { client.now().await > deadline }).await;
        let (key, settle) = (run.key(), run.end(TerminalState::Completed));
        let won = run_concurrently((0..3).map(|n| {
            let (store, settle) = (Arc::clone(&client.store), settle.clone());
            async move {
                if n == 1 {
                    return matches!(store.settle(settle).await.unwrap(), Settled::Now { .. });
                }
                let reaping =
                    store.reap(ReapRequest { grace: Duration::ZERO, ..REAP_ALL }).await.unwrap();
                reaping.done == failed(key, FailureKind::Deadline)
            }
        }))
        .await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let ended = if won[1] { TaskState::Completed } else { TaskState::Failed };
        assert_eq!(client.state(key).await, ended);
    }
}

pub async fn a_task_that_has_ended_has_no_deadline(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = running(&client).await;
    let deadline = run.claimed.deadline.unwrap();
    assert_eq!(client.details(run.key()).await.deadline, Some(deadline));
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(client.details(run.key()).await.deadline, None);
    eventually("it passes", || async { client.now().await > deadline }).await;
    assert!(client.reap().await.is_empty());
    assert_eq!(client.state(run.key()).await, TaskState::Completed);
    assert_eq!(client.store.dead_letter(run.key()).await.unwrap(), None);
}

fn waits_only(time: Duration) -> RunOptions {
    RunOptions { queue_timeout: Some(time), ..RunOptions::default() }
}

pub async fn a_task_that_is_not_claimed_in_time_fails(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let patient = client.queued("waits", waits_only(LONG_LEASE)).await;
    let key = client.queued("hurry", waits_only(SOON)).await;
    assert_eq!(client.reap_until_done().await, failed(key, FailureKind::QueueTimeout));
    assert_eq!(client.claim_one().await.key(), patient);
    assert_failed(&client, key, FailureKind::QueueTimeout).await;
}

pub async fn a_claimed_task_has_no_queue_timeout(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (mut run, time) = running_in_time(&client).await;
    client.store.settle(run.release()).await.unwrap();
    // A task that is queued later with the same timeout expires; by then this one would have
    // expired too.
    client.for_agent("other").queued("later", waits_only(time)).await;
    let (reaped, key) = (client.reap_until_done().await, run.key());
    assert!(
        !reaped.iter().any(|reaped| matches!(reaped, Reaped::Failed { key: k, .. } if *k == key)),
        "{reaped:?}"
    );
    assert_eq!(client.claim_one().await.key(), key);
}

pub async fn the_queue_timeout_starts_when_a_task_is_runnable(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let options = RunOptions { delay: LONG_LEASE, ..waits_only(SOON) };
    let later = client.queued("later", options).await;
    let key = client.queued("hurry", waits_only(SOON)).await;
    assert_eq!(client.reap_until_done().await, failed(key, FailureKind::QueueTimeout));
    assert_eq!(client.state(later).await, TaskState::Submitted);
}

pub async fn the_queue_timeout_restarts_at_a_wake(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (mut run, _) = running_in_time(&client).await;
    client.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
    assert!(client.reap().await.is_empty(), "a parked task does not wait in the queue");
    client.follow_up(run.key(), "this one").await;
    assert_eq!(client.reap_until_done().await, failed(run.key(), FailureKind::QueueTimeout));
    assert_failed(&client, run.key(), FailureKind::QueueTimeout).await;
}

pub async fn a_delayed_task_is_canceled_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key =
        client.queued("later", RunOptions { delay: LONG_LEASE, ..RunOptions::default() }).await;
    let cancel = RequestCancel { key, grace: LONG_LEASE };
    let outcome = client.store.request_cancel(cancel).await.unwrap();
    assert!(matches!(outcome, CancelRequested::Canceled { .. }), "{outcome:?}");
    assert_eq!(client.state(key).await, TaskState::Canceled);
    assert!(client.reap().await.is_empty());
}

pub async fn the_later_of_delay_and_not_before_counts(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let now = client.now().await;
    let cases = [
        (LONG_LEASE, Some(now + SOON)),
        (SOON, Some(now + LONG_LEASE)),
        (Duration::ZERO, Some(now + LONG_LEASE)),
        (LONG_LEASE, None),
    ];
    for (delay, not_before) in cases {
        let options = RunOptions { delay, not_before, ..RunOptions::default() };
        let key = client.queued("later", options).await;
        let run_at = client.details(key).await.queue.expect("it waits").run_at;
        assert!(run_at >= now + LONG_LEASE, "{delay:?} {not_before:?}");
    }
    let options = RunOptions { not_before: Some(now - LONG_LEASE), ..RunOptions::default() };
    let key = client.queued("now", options).await;
    assert_eq!(client.claim_one().await.key(), key, "a time that has passed does not matter");
}

pub async fn a_due_run_is_reported_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let agent: AgentName = client.agent.clone();
    let options = RunOptions { delay: Duration::from_millis(30), ..RunOptions::default() };
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(client.queued("soon", options.clone()).await);
    }
    let mut due = Vec::new();
    while due.len() < 10 {
        let reaped = client.reap_until_done_as(ReapRequest { limit: 3, ..REAP_ALL }).await;
        assert!(reaped.len() <= 3, "at most as many as asked for");
        due.extend(reaped);
    }
    for key in &keys {
        let said = due.iter().filter(|d| **d == Reaped::Due { key: *key, agent: agent.clone() });
        assert_eq!(said.count(), 1);
    }
    assert!(client.reap().await.is_empty());
    let worker = client.worker().await;
    assert_eq!(client.claim(worker, 20).await.len(), 10);
}

pub async fn a_reap_says_when_the_next_one_is_due(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let bounds = Duration::from_millis(20)..=Duration::from_secs(5);
    assert!(bounds.contains(&client.store.reap(REAP_ALL).await.unwrap().again_in));
    let delay = Duration::from_millis(200);
    client.queued("soon", RunOptions { delay, ..RunOptions::default() }).await;
    loop {
        let reaping = client.store.reap(REAP_ALL).await.unwrap();
        assert!(bounds.contains(&reaping.again_in), "{reaping:?}");
        if !reaping.done.is_empty() {
            break;
        }
        assert!(reaping.again_in <= delay, "{reaping:?}");
        tokio::time::sleep(reaping.again_in).await;
    }
}
