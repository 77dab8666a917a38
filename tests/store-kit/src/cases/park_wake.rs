//! Parked tasks: they hold no worker, and an answer starts the next turn.

use crate::kit::{TestClient, run_concurrently, status, working};
use longhaul_domain::{EntryBody, ParkedState, Seq, TaskState, TerminalState, log::StatusChange};
use longhaul_store::{CancelRequested, FollowedUp, RequestCancel, SettleAs, Settled, Store};
use std::{sync::Arc, time::Duration};

pub async fn a_parked_task_is_not_claimed(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, run) = client.parked().await;
    assert!(client.claim(run.worker, 10).await.is_empty());
    let task = client.task(key).await;
    assert_eq!(task.status.state, TaskState::InputRequired);
    assert_eq!(task.status.message.unwrap().text(), "which?");
}

pub async fn an_answer_wakes_a_parked_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, run) = client.parked().await;
    let mut says = client.new_follow_up(key, "this one");
    says.accept.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    let trace = says.accept.trace.clone();
    let outcome = client.store.accept_follow_up(says).await.unwrap();
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(4), last: Seq(5), woken: true });
    let bodies = client.bodies(key).await;
    assert_eq!(bodies[4], EntryBody::Status(StatusChange::to(TaskState::Submitted)));
    assert_eq!(client.state(key).await, TaskState::Submitted);

    let mut next = client.claim_one().await;
    assert_eq!((next.claimed.attempt, next.claimed.turn), (1, 2));
    assert_eq!((next.claimed.state, next.claimed.last_seq), (TaskState::Submitted, Seq(5)));
    assert!(next.claimed.fence.epoch > run.claimed.fence.epoch);
    assert_eq!(next.claimed.trace, trace);
    assert_eq!(client.texts(key).await, ["hello", "which?", "this one"]);
    let outcome = client.store.settle(next.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(7) });
}

pub async fn concurrent_answers_wake_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, _) = client.parked().await;
    let answers = run_concurrently((0..10).map(|n| {
        let client = client.clone();
        async move { client.follow_up(key, &n.to_string()).await }
    }))
    .await;
    let woken = answers.iter().filter(|a| matches!(a, FollowedUp::Appended { woken: true, .. }));
    assert_eq!(woken.count(), 1);
    let run = client.claim_one().await;
    assert_eq!(client.history(run.key()).await.len(), 12);
    assert_eq!(client.log(key).await.len(), 3 + 10 + 1);
}

pub async fn an_old_run_cannot_write_after_the_wake(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, mut run) = client.parked().await;
    client.follow_up(key, "this one").await;
    let late = run.append(vec![working()]);
    assert_eq!(client.store.append(late).await.unwrap(), longhaul_store::Appended::Fenced);
    let next = client.claim_one().await;
    assert!(next.claimed.fence.epoch > run.claimed.fence.epoch);
    let late = run.end(TerminalState::Completed);
    assert_eq!(client.store.settle(late).await.unwrap(), Settled::Fenced);
}

pub async fn a_task_can_park_turn_after_turn(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    for turn in 1..=4 {
        let mut run = client.claim_one().await;
        assert_eq!(run.claimed.turn, turn);
        let state =
            if turn % 2 == 0 { ParkedState::AuthRequired } else { ParkedState::InputRequired };
        let outcome = client.store.settle(run.park(state, "more?")).await.unwrap();
        assert!(matches!(outcome, Settled::Now { .. }), "{outcome:?}");
        assert_eq!(client.state(key).await, state.state());
        let woken = client.follow_up(key, "yes").await;
        assert!(matches!(woken, FollowedUp::Appended { woken: true, .. }), "{woken:?}");
    }
}

pub async fn a_failed_attempt_of_a_later_turn_keeps_the_turn(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, _) = client.parked().await;
    client.follow_up(key, "this one").await;
    let mut run = client.claim_one().await;
    let entries = vec![status(TaskState::Working, "trying")];
    let settle = run.settle(SettleAs::Retry(Duration::ZERO), entries);
    client.store.settle(settle).await.unwrap();
    let next = client.claim_one().await.claimed;
    assert_eq!((next.attempt, next.turn), (2, 2));
}

pub async fn a_parked_task_is_canceled_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, _) = client.parked().await;
    let cancel = RequestCancel { key, grace: Duration::from_secs(60) };
    let outcome = client.store.request_cancel(cancel).await.unwrap();
    assert_eq!(outcome, CancelRequested::Canceled { seq: Seq(4) });
    let task = client.task(key).await;
    assert_eq!(task.status.state, TaskState::Canceled);
    assert_eq!(task.history.last().unwrap().message.text(), "which?");
}
