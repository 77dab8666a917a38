//! The end of a run: written once, and never past an unread message.

use crate::kit::{RunWriter, TestClient, chunk, eventually, status, working};
use longhaul_domain::{EntryBody, ParkedState, Seq, TaskState, TerminalState};
use longhaul_store::{Appended, FollowedUp, SettleAs, Settled, Store, StoreError};
use std::{sync::Arc, time::Duration};

pub async fn a_task_ends_with_its_final_status(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for state in [TerminalState::Completed, TerminalState::Failed, TerminalState::Rejected] {
        let mut run = client.running().await;
        let outcome = client.store.settle(run.end(state)).await.unwrap();
        assert_eq!(outcome, Settled::Now { last: Seq(3) });
        let task = client.task(run.key()).await;
        assert_eq!((task.status.state, task.status.seq), (state.state(), Seq(3)));
        assert_eq!(task.status.message.unwrap().text(), "done");
        assert!(client.claim(run.worker, 10).await.is_empty());
    }
}

pub async fn a_repeated_settle_is_recognised(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let ways: [fn(&mut RunWriter) -> longhaul_store::Settle; 4] = [
        |run| run.end(TerminalState::Completed),
        |run| run.park(ParkedState::AuthRequired, "who?"),
        |run| run.retry(Duration::from_secs(3_600)),
        RunWriter::release,
    ];
    for settle in ways {
        let mut run = client.running().await;
        client.store.append(run.append(vec![working()])).await.unwrap();
        let settle = settle(&mut run);
        let Settled::Now { last } = client.store.settle(settle.clone()).await.unwrap() else {
            panic!("the first settle does it");
        };
        let repeated = client.store.settle(settle.clone()).await.unwrap();
        assert_eq!(repeated, Settled::Already { last }, "{:?}", settle.how);
        assert_eq!(Seq(i64::try_from(client.log(run.key()).await.len()).unwrap()), last);
        // Claim the released run, so that the next round finds only its own task.
        client.claim(run.worker, 10).await;
    }
}

pub async fn a_repeated_settle_is_recognised_after_the_next_run_has_written(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let retry = run.retry(Duration::ZERO);
    client.store.settle(retry.clone()).await.unwrap();
    let mut next = client.claim_one().await;
    client.store.append(next.append(vec![working()])).await.unwrap();
    let repeated = client.store.settle(retry).await.unwrap();
    assert_eq!(repeated, Settled::Already { last: Seq(3) });
    assert_eq!(client.log(run.key()).await.len(), 3);
}

pub async fn a_settled_run_cannot_write_again(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let first = run.append(vec![working()]);
    client.store.append(first.clone()).await.unwrap();
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    assert_eq!(client.store.append(first).await.unwrap(), Appended::Fenced, "not even a repeat");
    let late = run.append(vec![working()]);
    assert_eq!(client.store.append(late).await.unwrap(), Appended::Fenced);
    let late = run.end(TerminalState::Completed);
    assert_eq!(client.store.settle(late).await.unwrap(), Settled::Fenced);
    let mut next = client.claim_one().await;
    let late = run.end(TerminalState::Failed);
    assert_eq!(client.store.settle(late).await.unwrap(), Settled::Fenced);
    let done = client.store.settle(next.end(TerminalState::Completed)).await.unwrap();
    assert!(matches!(done, Settled::Now { .. }), "{done:?}");
    let late = run.end(TerminalState::Failed);
    let outcome = client.store.settle(late).await.unwrap();
    assert_eq!(outcome, Settled::Ended(TaskState::Completed));
}

pub async fn a_retry_counts_an_attempt_and_waits(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let settle = run.retry(Duration::from_millis(30));
    assert_eq!(client.store.settle(settle).await.unwrap(), Settled::Now { last: Seq(2) });
    assert_eq!(client.state(run.key()).await, TaskState::Working);
    let (worker, mut next) = (client.worker().await, None);
    for _ in 0..4_000 {
        client.reap().await;
        next = client.claim(worker, 1).await.pop();
        if next.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let next = next.expect("the next attempt becomes due");
    assert_eq!((next.attempt, next.turn, next.last_seq), (2, 1, Seq(2)));
    assert!(next.fence.epoch > run.claimed.fence.epoch);
    assert_ne!(next.fence.token, run.claimed.fence.token);
}

pub async fn a_release_counts_no_attempt(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let outcome = client.store.settle(run.release()).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(1) });
    assert_eq!(client.state(run.key()).await, TaskState::Submitted);
    let next = client.claim_one().await.claimed;
    assert_eq!((next.key, next.attempt), (run.key(), 1));
    assert!(next.fence.epoch > run.claimed.fence.epoch);
}

pub async fn a_release_keeps_its_output(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let settle = run.settle(SettleAs::Release, vec![working(), chunk("a", "1", false)]);
    assert_eq!(client.store.settle(settle).await.unwrap(), Settled::Now { last: Seq(3) });
    assert_eq!(client.task(run.key()).await.artifacts.len(), 1);
}

pub async fn an_end_with_an_unread_message_is_handed_back_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let outcome = client.follow_up(run.key(), "wait").await;
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(2), last: Seq(2), woken: false });
    let settle = run.end(TerminalState::Completed);
    let outcome = client.store.settle(settle.clone()).await.unwrap();
    assert_eq!(outcome, Settled::HandedBack { last: Seq(3) }, "all but the final status");
    let repeated = client.store.settle(settle).await.unwrap();
    assert_eq!(repeated, Settled::Already { last: Seq(3) });
    assert_eq!(client.state(run.key()).await, TaskState::Working);

    let mut next = client.claim_one().await;
    assert_eq!((next.claimed.attempt, next.claimed.turn), (1, 1));
    assert!(next.claimed.fence.epoch > run.claimed.fence.epoch);
    client.follow_up(run.key(), "and wait again").await;
    let outcome = client.store.settle(next.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(6) }, "a second time it ends");
    assert_eq!(client.state(run.key()).await, TaskState::Completed);
}

pub async fn a_park_with_an_unread_message_is_always_handed_back(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    for _ in 0..3 {
        let mut run = client.claim_one().await;
        client.follow_up(key, "the answer already").await;
        let outcome =
            client.store.settle(run.park(ParkedState::InputRequired, "which?")).await.unwrap();
        assert!(matches!(outcome, Settled::HandedBack { .. }), "{outcome:?}");
        assert_eq!(client.state(key).await, TaskState::Working);
    }
    let mut run = client.claim_one().await;
    client.follow_up(key, "one more").await;
    let outcome = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert!(matches!(outcome, Settled::HandedBack { .. }), "a park does not use up the hand-back");
}

pub async fn a_message_that_was_read_hands_nothing_back(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.follow_up(run.key(), "more").await;
    run.read = Seq(2);
    let outcome = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(4) });
}

pub async fn a_settle_that_does_not_fit_is_refused(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let completed = || status(TaskState::Completed, "done");
    let parked = || status(TaskState::InputRequired, "which?");
    let attempts: Vec<(SettleAs, Vec<EntryBody>)> = vec![
        (SettleAs::End(TerminalState::Completed), vec![completed()]),
        (SettleAs::End(TerminalState::Completed), vec![working(), completed(), completed()]),
        (SettleAs::Park(ParkedState::InputRequired), vec![parked()]),
        (SettleAs::Retry(Duration::ZERO), vec![status(TaskState::Submitted, "no")]),
    ];
    for (how, entries) in attempts {
        let settle = run.settle(how, entries);
        let outcome = client.store.settle(settle.clone()).await;
        assert!(matches!(outcome, Err(StoreError::Refused(_))), "{settle:?}: {outcome:?}");
    }
    assert_eq!(client.log(run.key()).await.len(), 1);
    let outcome = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(3) }, "the run is still held");
}

pub async fn an_unstarted_task_can_fail(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let failed = vec![status(TaskState::Failed, "no such thing")];
    let settle = run.settle(SettleAs::End(TerminalState::Failed), failed);
    assert_eq!(client.store.settle(settle).await.unwrap(), Settled::Now { last: Seq(2) });
}

pub async fn an_ended_task_is_never_offered_again(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    client.expire_lease(run.worker).await;
    let other = client.running().await;
    client.expire_lease(other.worker).await;
    eventually("the other worker's run is offered", || async {
        let reaped = client.reap().await;
        assert!(!reaped.contains(&longhaul_store::Reaped::Offered {
            key: run.key(),
            agent: client.agent.clone()
        }));
        !reaped.is_empty()
    })
    .await;
    assert_eq!(client.log(run.key()).await.len(), 3);
}
