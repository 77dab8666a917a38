//! Schedules fire once per due time, on any number of nodes. Due times are written into the store
//! as a node that was away would find them.

use super::{FiringBackoffs, FiringPass, MAX_FAILED_IN_A_ROW};
use crate::testing::{Node, TEST_TIMEOUT, agent};
use chrono::TimeDelta;
use longhaul_domain::{Message, MessageId, OwnerId, Part, Role, Task, Timestamp};
use longhaul_runtime::{Clock, SystemClock};
use longhaul_store::{ListQuery, MissedRuns, Schedule, SchedulePlan, SnapshotOptions, StoreError};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

fn minutes_ago(minutes: i64) -> Timestamp {
    SystemClock.now() - TimeDelta::minutes(minutes)
}

fn schedule(name: &str, missed: MissedRuns, due: Option<Timestamp>) -> Schedule {
    let id = MessageId::new("template").unwrap();
    let plan = SchedulePlan {
        cron: "* * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        missed,
        message: Message::new(id, Role::User, vec![Part::text(name)]),
        context: None,
    };
    Schedule {
        owner: OwnerId::LOCAL,
        name: name.to_owned(),
        agent: agent(),
        plan,
        next_at: due,
        paused: due.is_none(),
        last: None,
        revision: 0,
    }
}

async fn put(node: &Node, schedule: Schedule) {
    node.store.put_schedule(schedule).await.unwrap();
    node.service().schedules_changed.notify_one();
}

async fn read(node: &Node, name: &str) -> Schedule {
    node.store.schedule(OwnerId::LOCAL, name).await.unwrap().unwrap()
}

async fn tasks(node: &Node) -> Vec<Task> {
    let query = ListQuery {
        owner: OwnerId::LOCAL,
        agent: None,
        context: None,
        state: None,
        status_from: None,
        after: None,
        page_size: 100,
        options: SnapshotOptions::ALL,
    };
    node.store.list_tasks(query).await.unwrap().tasks
}

/// Waits until a condition holds.
async fn until<F: Future<Output = bool>>(so: impl Fn() -> F) {
    let wait = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TEST_TIMEOUT, wait).await.expect("the condition holds in time");
}

async fn until_fired(node: &Node, name: &str) {
    until(|| async { read(node, name).await.next_at.is_some_and(|at| at > minutes_ago(0)) }).await;
}

#[tokio::test]
async fn one_task_replaces_all_missed_runs() {
    let mut node = Node::start().await;
    put(&node, schedule("nightly", MissedRuns::Once, Some(minutes_ago(30)))).await;
    let wake = timeout(TEST_TIMEOUT, node.wakes.recv()).await.expect("a wake-up").unwrap();
    until_fired(&node, "nightly").await;
    let fired = read(&node, "nightly").await;
    let (at, task) = fired.last.unwrap();
    assert_eq!(task, wake.task.task);
    assert!(at <= minutes_ago(0) && at > minutes_ago(2), "{at}");
    let created = tasks(&node).await;
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].history[0].message.text(), "nightly");
    assert_ne!(created[0].history[0].message.message_id.as_str(), "template");
}

#[tokio::test]
async fn each_missed_time_fires_once_on_any_number_of_nodes() {
    let node = Node::start().await;
    let others = [node.another(), node.another()];
    let due = minutes_ago(20);
    put(&node, schedule("all", MissedRuns::All, Some(due))).await;
    for other in &others {
        other.service().schedules_changed.notify_one();
    }
    until_fired(&node, "all").await;
    let (last, _) = read(&node, "all").await.last.unwrap();
    let whole_minutes = (last.timestamp() / 60 - due.timestamp() / 60).unsigned_abs();
    assert_eq!(tasks(&node).await.len() as u64, whole_minutes);
}

#[tokio::test]
async fn missed_times_can_be_skipped() {
    let node = Node::start().await;
    put(&node, schedule("skip", MissedRuns::Skip, Some(minutes_ago(30)))).await;
    until_fired(&node, "skip").await;
    assert!(tasks(&node).await.len() <= 2, "only those within the grace period");
}

#[tokio::test]
async fn a_broken_schedule_does_not_stop_others() {
    let node = Node::start().await;
    let mut broken = schedule("broken", MissedRuns::Once, Some(minutes_ago(60)));
    broken.plan.cron = "no".to_owned();
    put(&node, broken).await;
    put(&node, schedule("sound", MissedRuns::Once, Some(minutes_ago(5)))).await;
    until_fired(&node, "sound").await;
    until(|| async { read(&node, "broken").await.next_at.is_none() }).await;
    assert_eq!(read(&node, "broken").await.last, None);
}

#[tokio::test]
async fn a_next_time_set_by_a_wrong_clock_is_corrected() {
    let first = Node::start().await;
    let far = SystemClock.now() + TimeDelta::days(400);
    // Both occur: the second when a clock stood beyond the last year that is searched.
    for (name, next_at) in [("ahead", Some(far)), ("never", None)] {
        let silent = Schedule { paused: false, ..schedule(name, MissedRuns::Once, next_at) };
        first.store.put_schedule(silent).await.unwrap();
    }
    let paused = Schedule { paused: true, ..schedule("paused", MissedRuns::Once, Some(far)) };
    first.store.put_schedule(paused).await.unwrap();
    // A node checks for them when it starts, and then at an interval.
    let _node = first.another();
    for name in ["ahead", "never"] {
        let soon = SystemClock.now() + TimeDelta::minutes(2);
        until(|| async { read(&first, name).await.next_at.is_some_and(|at| at < soon) }).await;
    }
    let kept = read(&first, "paused").await.next_at.unwrap();
    assert!((kept - far).num_seconds().abs() < 1, "{kept}");
}

#[test]
fn a_fired_time_does_not_fire_again_when_the_clock_is_set_back() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = at("2026-01-01T09:59:59.9Z");
    let fired = Schedule {
        last: Some((at("2026-01-01T10:00:00Z"), longhaul_domain::TaskId::new(uuid::Uuid::nil()))),
        ..schedule("a", MissedRuns::Once, Some(at("2026-01-01T10:01:00Z")))
    };
    assert_eq!(super::overlooked_time(&fired, now), None);
    let silent = Schedule { last: None, ..fired };
    assert_eq!(super::overlooked_time(&silent, now), Some(at("2026-01-01T10:00:00Z")));
}

/// Fires what does not fail; returns the names tried, and whether the store is taken to be
/// unavailable.
fn run_pass(
    due: &[Schedule],
    backoffs: &mut FiringBackoffs,
    fails: impl Fn(&str) -> bool,
) -> (Vec<String>, bool) {
    let (mut pass, mut tried) = (FiringPass::new(backoffs), Vec::new());
    for schedule in due {
        if pass.is_skipped(schedule) {
            continue;
        }
        tried.push(schedule.name.clone());
        let fails = fails(&schedule.name);
        let fired = if fails { Err(StoreError::Unavailable("not now".to_owned())) } else { Ok(()) };
        if pass.record(schedule, fired).is_err() {
            return (tried, true);
        }
    }
    (tried, false)
}

#[tokio::test(start_paused = true)]
async fn failing_schedules_do_not_block_those_behind_them() {
    let due: Vec<Schedule> = ["bad1", "bad2", "bad3", "bad4", "good"]
        .map(|name| schedule(name, MissedRuns::Once, Some(minutes_ago(5))))
        .to_vec();
    let (mut backoffs, fails) = (FiringBackoffs::default(), |name: &str| name.starts_with("bad"));
    let (tried, away) = run_pass(&due, &mut backoffs, fails);
    assert_eq!((tried.len(), away), (MAX_FAILED_IN_A_ROW as usize, true));
    let (tried, away) = run_pass(&due, &mut backoffs, fails);
    assert_eq!((tried, away), (vec!["bad4".to_owned(), "good".to_owned()], false));
    assert_eq!(backoffs.len(), 4);
    // Each is tried again, at growing intervals.
    tokio::time::advance(Duration::from_secs(2)).await;
    let (tried, _) = run_pass(&due, &mut backoffs, |_| false);
    assert_eq!((tried.len(), backoffs.len()), (5, 0));
}
