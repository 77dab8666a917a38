//! Limits of time: they end a task wherever it is, and a worker that runs it has the first word.

use super::kit::{LONG, REAP, Run, Scene, at_once, eventually, working};
use crate::{
    Appended, CancelRequested, FollowedUp, ReapRequest, Reaped, RequestCancel, RunOptions, Settled,
    Store,
};
use longhaul_domain::{
    AgentName, ConcurrencyLimits, FailureKind, ParkedState, TaskKey, TaskState, TerminalState,
};
use std::{sync::Arc, time::Duration};

const SOON: Duration = Duration::from_millis(1);

fn failed(key: TaskKey, because: FailureKind) -> Vec<Reaped> {
    vec![Reaped::Failed { key, because }]
}

/// Checks that a task ended for this reason, and says so.
async fn assert_failed(scene: &Scene, key: TaskKey, because: FailureKind) {
    let task = scene.task(key).await;
    assert_eq!(task.status.state, TaskState::Failed);
    let facts = task.status.message.expect("a failure is explained").metadata.unwrap();
    assert!(facts.as_str().contains(because.name()), "{facts:?}");
    let bodies = scene.bodies(key).await;
    let ends = bodies.iter().filter(|b| b.status().is_some_and(|s| s.state.is_terminal()));
    assert_eq!(ends.count(), 1);
    assert_eq!(scene.store.dead_letter(key).await.unwrap().unwrap().because, because);
    let worker = scene.worker().await;
    assert!(!scene.claim(worker, 10).await.iter().any(|claimed| claimed.key == key));
    assert!(scene.reap().await.is_empty(), "once");
}

async fn within(scene: &Scene, time: Duration) -> RunOptions {
    RunOptions { deadline: Some(scene.now().await + time), ..RunOptions::default() }
}

/// A claimed task whose deadline is near. Where claiming took longer than that, it is tried again with more time.
async fn running(scene: &Scene) -> Run {
    let mut time = Duration::from_millis(100);
    for _ in 0..6 {
        let key = scene.queued("hurry", within(scene, time).await).await;
        let worker = scene.worker().await;
        if let Some(claimed) = scene.claim(worker, 1).await.pop() {
            assert_eq!(claimed.key, key);
            return Run::of(worker, claimed);
        }
        scene.store.request_cancel(RequestCancel { key, grace: LONG }).await.unwrap();
        time *= 4;
    }
    panic!("a task can be claimed within its deadline");
}

/// A claimed task that could have waited for a moment only.
async fn running_in_time(scene: &Scene) -> (Run, Duration) {
    let mut time = Duration::from_millis(50);
    for _ in 0..6 {
        let key = scene.queued("hurry", waits_only(time)).await;
        let worker = scene.worker().await;
        if let Some(claimed) = scene.claim(worker, 1).await.pop() {
            return (Run::of(worker, claimed), time);
        }
        scene.store.request_cancel(RequestCancel { key, grace: LONG }).await.unwrap();
        time *= 4;
    }
    panic!("a task can be claimed in time");
}

pub async fn a_deadline_ends_a_queued_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.queued("hurry", within(&scene, SOON).await).await;
    assert_eq!(scene.reaped().await, failed(key, FailureKind::Deadline));
    assert_failed(&scene, key, FailureKind::Deadline).await;
}

pub async fn a_deadline_ends_a_task_before_its_time_has_come(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let options = RunOptions { delay: LONG, ..within(&scene, SOON).await };
    let key = scene.queued("hurry", options).await;
    assert_eq!(scene.reaped().await, failed(key, FailureKind::Deadline));
    assert_failed(&scene, key, FailureKind::Deadline).await;
}

pub async fn a_deadline_ends_a_task_that_waits_for_its_next_attempt(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = running(&scene).await;
    scene.store.settle(run.retry(LONG)).await.unwrap();
    assert_eq!(scene.reaped().await, failed(run.key(), FailureKind::Deadline));
    assert_failed(&scene, run.key(), FailureKind::Deadline).await;
}

pub async fn a_deadline_ends_a_parked_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = running(&scene).await;
    let outcome = scene.store.settle(run.park(ParkedState::AuthRequired, "who?")).await.unwrap();
    assert!(matches!(outcome, Settled::Now { .. }), "{outcome:?}");
    assert_eq!(scene.reaped().await, failed(run.key(), FailureKind::Deadline));
    assert_failed(&scene, run.key(), FailureKind::Deadline).await;
    let late = scene.follow_up(run.key(), "me").await;
    assert_eq!(late, FollowedUp::Ended(TaskState::Failed));
}

pub async fn a_deadline_ends_a_task_that_was_held_back(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let keyed = |options| RunOptions { concurrency_key: Some("k".to_owned()), ..options };
    scene.queued("first", keyed(RunOptions::default())).await;
    let key = scene.queued("second", keyed(within(&scene, SOON).await)).await;
    let limits = ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE };
    let worker = scene.worker().await;
    assert_eq!(scene.claim_as(worker, scene.slots(10, limits)).await.len(), 1);
    assert_eq!(scene.reaped().await, failed(key, FailureKind::Deadline));
    assert_failed(&scene, key, FailureKind::Deadline).await;
}

pub async fn a_task_past_its_deadline_is_handed_to_nobody(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.queued("too late", within(&scene, Duration::ZERO).await).await;
    let worker = scene.worker().await;
    // Its deadline is the moment in which the store was asked for the time, which has passed.
    eventually("the clock goes on", || async {
        scene.now().await > scene.facts(key).await.deadline.expect("it has one")
    })
    .await;
    assert!(scene.claim(worker, 10).await.is_empty());
    assert_eq!(scene.state(key).await, TaskState::Submitted, "until somebody looks");
}

pub async fn a_worker_past_the_deadline_has_a_grace_and_then_is_cut_off(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = running(&scene).await;
    let deadline = run.claimed.deadline.expect("the executor knows its deadline");
    eventually("the deadline passes", || async { scene.now().await > deadline }).await;
    assert!(scene.reap().await.is_empty(), "the grace is long");
    assert_eq!(scene.state(run.key()).await, TaskState::Submitted);
    let reap = ReapRequest { grace: SOON, ..REAP };
    assert_eq!(scene.reaped_as(reap).await, failed(run.key(), FailureKind::Deadline));
    let late = scene.store.append(run.append(vec![working()])).await.unwrap();
    assert_eq!(late, Appended::Ended(TaskState::Failed));
    let late = scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(late, Settled::Ended(TaskState::Failed));
    assert_failed(&scene, run.key(), FailureKind::Deadline).await;
}

pub async fn deadline_and_end_have_one_winner(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..5 {
        let mut run = running(&scene).await;
        let deadline = run.claimed.deadline.unwrap();
        eventually("it passes", || async { scene.now().await > deadline }).await;
        let (key, settle) = (run.key(), run.end(TerminalState::Completed));
        let won = at_once((0..3).map(|n| {
            let (store, settle) = (Arc::clone(&scene.store), settle.clone());
            async move {
                if n == 1 {
                    return matches!(store.settle(settle).await.unwrap(), Settled::Now { .. });
                }
                let reaping =
                    store.reap(ReapRequest { grace: Duration::ZERO, ..REAP }).await.unwrap();
                reaping.done == failed(key, FailureKind::Deadline)
            }
        }))
        .await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
        let ended = if won[1] { TaskState::Completed } else { TaskState::Failed };
        assert_eq!(scene.state(key).await, ended);
    }
}

pub async fn a_task_that_has_ended_has_no_deadline(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = running(&scene).await;
    let deadline = run.claimed.deadline.unwrap();
    assert_eq!(scene.facts(run.key()).await.deadline, Some(deadline));
    scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(scene.facts(run.key()).await.deadline, None);
    eventually("it passes", || async { scene.now().await > deadline }).await;
    assert!(scene.reap().await.is_empty());
    assert_eq!(scene.state(run.key()).await, TaskState::Completed);
    assert_eq!(scene.store.dead_letter(run.key()).await.unwrap(), None);
}

fn waits_only(time: Duration) -> RunOptions {
    RunOptions { queue_timeout: Some(time), ..RunOptions::default() }
}

pub async fn a_task_that_nobody_starts_in_time_fails(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let patient = scene.queued("waits", waits_only(LONG)).await;
    let key = scene.queued("hurry", waits_only(SOON)).await;
    assert_eq!(scene.reaped().await, failed(key, FailureKind::QueueTimeout));
    assert_eq!(scene.claim_one().await.key(), patient);
    assert_failed(&scene, key, FailureKind::QueueTimeout).await;
}

pub async fn a_task_that_was_started_has_no_queue_timeout_any_more(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (mut run, time) = running_in_time(&scene).await;
    scene.store.settle(run.release()).await.unwrap();
    // What came later to the queue, and may wait as long, times out; by then this one would have.
    scene.for_agent("other").queued("later", waits_only(time)).await;
    let (reaped, key) = (scene.reaped().await, run.key());
    assert!(
        !reaped.iter().any(|reaped| matches!(reaped, Reaped::Failed { key: k, .. } if *k == key)),
        "{reaped:?}"
    );
    assert_eq!(scene.claim_one().await.key(), key);
}

pub async fn time_in_the_queue_begins_when_a_task_is_runnable(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let options = RunOptions { delay: LONG, ..waits_only(SOON) };
    let later = scene.queued("later", options).await;
    let key = scene.queued("hurry", waits_only(SOON)).await;
    assert_eq!(scene.reaped().await, failed(key, FailureKind::QueueTimeout));
    assert_eq!(scene.state(later).await, TaskState::Submitted);
}

pub async fn time_in_the_queue_begins_again_at_a_wake(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (mut run, _) = running_in_time(&scene).await;
    scene.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
    assert!(scene.reap().await.is_empty(), "a parked task does not wait in the queue");
    scene.follow_up(run.key(), "this one").await;
    assert_eq!(scene.reaped().await, failed(run.key(), FailureKind::QueueTimeout));
    assert_failed(&scene, run.key(), FailureKind::QueueTimeout).await;
}

pub async fn a_task_before_its_time_is_canceled_at_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.queued("later", RunOptions { delay: LONG, ..RunOptions::default() }).await;
    let cancel = RequestCancel { key, grace: LONG };
    let outcome = scene.store.request_cancel(cancel).await.unwrap();
    assert!(matches!(outcome, CancelRequested::Canceled { .. }), "{outcome:?}");
    assert_eq!(scene.state(key).await, TaskState::Canceled);
    assert!(scene.reap().await.is_empty());
}

pub async fn of_delay_and_not_before_the_later_counts(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let now = scene.now().await;
    let cases = [
        (LONG, Some(now + SOON)),
        (SOON, Some(now + LONG)),
        (Duration::ZERO, Some(now + LONG)),
        (LONG, None),
    ];
    for (delay, not_before) in cases {
        let options = RunOptions { delay, not_before, ..RunOptions::default() };
        let key = scene.queued("later", options).await;
        let run_at = scene.facts(key).await.queue.expect("it waits").run_at;
        assert!(run_at >= now + LONG, "{delay:?} {not_before:?}");
    }
    let options = RunOptions { not_before: Some(now - LONG), ..RunOptions::default() };
    let key = scene.queued("now", options).await;
    assert_eq!(scene.claim_one().await.key(), key, "a time that has passed does not matter");
}

pub async fn what_has_become_due_is_said_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let agent: AgentName = scene.agent.clone();
    let options = RunOptions { delay: Duration::from_millis(30), ..RunOptions::default() };
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(scene.queued("soon", options.clone()).await);
    }
    let mut due = Vec::new();
    while due.len() < 10 {
        let reaped = scene.reaped_as(ReapRequest { limit: 3, ..REAP }).await;
        assert!(reaped.len() <= 3, "at most as many as asked for");
        due.extend(reaped);
    }
    for key in &keys {
        let said = due.iter().filter(|d| **d == Reaped::Due { key: *key, agent: agent.clone() });
        assert_eq!(said.count(), 1);
    }
    assert!(scene.reap().await.is_empty());
    let worker = scene.worker().await;
    assert_eq!(scene.claim(worker, 20).await.len(), 10);
}

pub async fn a_reaper_knows_when_to_look_again(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let bounds = Duration::from_millis(20)..=Duration::from_secs(5);
    assert!(bounds.contains(&scene.store.reap(REAP).await.unwrap().again_in));
    let delay = Duration::from_millis(200);
    scene.queued("soon", RunOptions { delay, ..RunOptions::default() }).await;
    loop {
        let reaping = scene.store.reap(REAP).await.unwrap();
        assert!(bounds.contains(&reaping.again_in), "{reaping:?}");
        if !reaping.done.is_empty() {
            break;
        }
        assert!(reaping.again_in <= delay, "{reaping:?}");
        tokio::time::sleep(reaping.again_in).await;
    }
}
