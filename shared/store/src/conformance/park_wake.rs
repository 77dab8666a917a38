//! Waiting for an answer holds nothing; the answer begins the next turn.

use super::kit::{Scene, at_once, status, working};
use crate::{CancelRequested, FollowedUp, RequestCancel, SettleAs, Settled, Store};
use longhaul_domain::{EntryBody, ParkedState, Seq, TaskState, TerminalState, log::StatusChange};
use std::{sync::Arc, time::Duration};

pub async fn a_parked_task_is_offered_to_nobody(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, run) = scene.parked().await;
    assert!(scene.claim(run.worker, 10).await.is_empty());
    let task = scene.task(key).await;
    assert_eq!(task.status.state, TaskState::InputRequired);
    assert_eq!(task.status.message.unwrap().text(), "which?");
}

pub async fn an_answer_wakes_a_parked_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, run) = scene.parked().await;
    let mut says = scene.says(key, "this one");
    says.accept.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    let trace = says.accept.trace.clone();
    let outcome = scene.store.accept_follow_up(says).await.unwrap();
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(4), last: Seq(5), woken: true });
    let bodies = scene.bodies(key).await;
    assert_eq!(bodies[4], EntryBody::Status(StatusChange::to(TaskState::Submitted)));
    assert_eq!(scene.state(key).await, TaskState::Submitted);

    let mut next = scene.claim_one().await;
    assert_eq!((next.claimed.attempt, next.claimed.turn), (1, 2));
    assert_eq!((next.claimed.state, next.claimed.last_seq), (TaskState::Submitted, Seq(5)));
    assert!(next.claimed.fence.epoch > run.claimed.fence.epoch);
    assert_eq!(next.claimed.trace, trace);
    assert_eq!(scene.texts(key).await, ["hello", "which?", "this one"]);
    let outcome = scene.store.settle(next.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(7) });
}

pub async fn answers_at_once_wake_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, _) = scene.parked().await;
    let answers = at_once((0..10).map(|n| {
        let scene = scene.clone();
        async move { scene.follow_up(key, &n.to_string()).await }
    }))
    .await;
    let woken = answers.iter().filter(|a| matches!(a, FollowedUp::Appended { woken: true, .. }));
    assert_eq!(woken.count(), 1);
    let run = scene.claim_one().await;
    assert_eq!(scene.history(run.key()).await.len(), 12);
    assert_eq!(scene.log(key).await.len(), 3 + 10 + 1);
}

pub async fn an_old_run_cannot_write_after_the_wake(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, mut run) = scene.parked().await;
    scene.follow_up(key, "this one").await;
    let late = run.append(vec![working()]);
    assert_eq!(scene.store.append(late).await.unwrap(), crate::Appended::Fenced);
    let next = scene.claim_one().await;
    assert!(next.claimed.fence.epoch > run.claimed.fence.epoch);
    let late = run.end(TerminalState::Completed);
    assert_eq!(scene.store.settle(late).await.unwrap(), Settled::Fenced);
}

pub async fn a_task_can_park_turn_after_turn(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    for turn in 1..=4 {
        let mut run = scene.claim_one().await;
        assert_eq!(run.claimed.turn, turn);
        let state =
            if turn % 2 == 0 { ParkedState::AuthRequired } else { ParkedState::InputRequired };
        let outcome = scene.store.settle(run.park(state, "more?")).await.unwrap();
        assert!(matches!(outcome, Settled::Now { .. }), "{outcome:?}");
        assert_eq!(scene.state(key).await, state.state());
        let woken = scene.follow_up(key, "yes").await;
        assert!(matches!(woken, FollowedUp::Appended { woken: true, .. }), "{woken:?}");
    }
}

pub async fn a_failed_attempt_of_a_later_turn_keeps_the_turn(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, _) = scene.parked().await;
    scene.follow_up(key, "this one").await;
    let mut run = scene.claim_one().await;
    let entries = vec![status(TaskState::Working, "trying")];
    let settle = run.settle(SettleAs::Retry(Duration::ZERO), entries);
    scene.store.settle(settle).await.unwrap();
    let next = scene.claim_one().await.claimed;
    assert_eq!((next.attempt, next.turn), (2, 2));
}

pub async fn a_parked_task_is_canceled_at_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (key, _) = scene.parked().await;
    let cancel = RequestCancel { key, grace: Duration::from_secs(60) };
    let outcome = scene.store.request_cancel(cancel).await.unwrap();
    assert_eq!(outcome, CancelRequested::Canceled { seq: Seq(4) });
    let task = scene.task(key).await;
    assert_eq!(task.status.state, TaskState::Canceled);
    assert_eq!(task.history.last().unwrap().message.text(), "which?");
}
