//! Cancel requests: they arrive, and of a cancel and the end of a run exactly one wins.

use crate::kit::{
    LONG_LEASE, REAP_ALL, RunWriter, TestClient, eventually, run_concurrently, uuid, working,
};
use longhaul_domain::{
    EntryBody, Note, ParkedState, Seq, TaskId, TaskKey, TaskState, TerminalState,
};
use longhaul_store::{
    Appended, CancelRequested, HeartbeatReply, HeldDigest, Reaped, RequestCancel, Settled, Store,
};
use std::{sync::Arc, time::Duration};

const GRACE: Duration = Duration::from_secs(600);

async fn cancel(client: &TestClient, key: TaskKey, grace: Duration) -> CancelRequested {
    client.store.request_cancel(RequestCancel { key, grace }).await.unwrap()
}

pub async fn a_queued_task_is_canceled_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    assert_eq!(cancel(&client, key, GRACE).await, CancelRequested::Canceled { seq: Seq(2) });
    assert_eq!(client.state(key).await, TaskState::Canceled);
    let worker = client.worker().await;
    assert!(client.claim(worker, 10).await.is_empty());
    let again = cancel(&client, key, GRACE).await;
    assert_eq!(again, CancelRequested::Ended(TaskState::Canceled));
}

pub async fn a_task_that_waits_for_its_next_attempt_is_canceled_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.retry(LONG_LEASE)).await.unwrap();
    let outcome = cancel(&client, run.key(), GRACE).await;
    assert_eq!(outcome, CancelRequested::Canceled { seq: Seq(3) });
}

pub async fn a_running_executor_is_asked_to_stop(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    assert_eq!(cancel(&client, run.key(), GRACE).await, CancelRequested::Asked { seq: Seq(2) });
    assert_eq!(cancel(&client, run.key(), GRACE).await, CancelRequested::Asked { seq: Seq(2) });
    let notes = client.bodies(run.key()).await;
    assert_eq!(notes[1..], [EntryBody::Note(Note::CancelRequested)], "noted once");
    assert_eq!(client.state(run.key()).await, TaskState::Submitted, "it has not stopped yet");
    for _ in 0..2 {
        let reply = client.store.heartbeat(run.worker, LONG_LEASE).await.unwrap();
        assert_eq!(
            reply,
            HeartbeatReply::Renewed {
                cancels: vec![run.key()],
                held: HeldDigest::from_tokens([run.claimed.fence.token])
            }
        );
    }
    let outcome = client.store.settle(run.end(TerminalState::Canceled)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(4) });
    let reply = client.store.heartbeat(run.worker, LONG_LEASE).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: HeldDigest::default() });
}

pub async fn an_executor_that_was_faster_than_the_cancel_completes(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    cancel(&client, run.key(), GRACE).await;
    client.follow_up(run.key(), "unread").await;
    let outcome = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(5) }, "and nothing is handed back");
    assert_eq!(client.state(run.key()).await, TaskState::Completed);
}

pub async fn a_run_with_a_cancel_request_ends_instead_of_continuing(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let ways: [fn(&mut RunWriter) -> longhaul_store::Settle; 3] = [
        |run| run.park(ParkedState::InputRequired, "which?"),
        |run| run.retry(Duration::ZERO),
        RunWriter::release,
    ];
    for settle in ways {
        let mut run = client.running().await;
        cancel(&client, run.key(), GRACE).await;
        let settle = settle(&mut run);
        let outcome = client.store.settle(settle.clone()).await.unwrap();
        let Settled::Now { last } = outcome else { panic!("{:?}: {outcome:?}", settle.how) };
        let task = client.task(run.key()).await;
        assert_eq!((task.status.state, task.status.seq), (TaskState::Canceled, last));
        assert_eq!(task.last_seq, last);
        assert!(client.claim(run.worker, 10).await.is_empty());
        assert_eq!(client.store.settle(settle).await.unwrap(), Settled::Already { last });
    }
}

pub async fn an_ignored_cancel_is_forced(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    cancel(&client, run.key(), GRACE).await;
    assert!(client.reap().await.is_empty());
    cancel(&client, run.key(), Duration::from_millis(1)).await;
    assert_eq!(cancel(&client, run.key(), GRACE).await, CancelRequested::Asked { seq: Seq(2) });
    eventually("the earlier deadline passes", || async {
        let reaped = client.reap().await;
        assert!(reaped.iter().all(|r| *r == Reaped::Canceled { key: run.key() }), "{reaped:?}");
        !reaped.is_empty()
    })
    .await;
    assert_eq!(client.state(run.key()).await, TaskState::Canceled);
    let late = client.store.append(run.append(vec![working()])).await.unwrap();
    assert_eq!(late, Appended::Ended(TaskState::Canceled));
    let late = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(late, Settled::Ended(TaskState::Canceled));
    assert_eq!(client.log(run.key()).await.len(), 3);
}

pub async fn cancel_of_a_task_whose_worker_is_dead_ends_it(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    cancel(&client, run.key(), GRACE).await;
    client.expire_lease(run.worker).await;
    assert_eq!(
        client.reap_until_done().await,
        [Reaped::Canceled { key: run.key() }],
        "no waiting for grace"
    );
    assert_eq!(client.state(run.key()).await, TaskState::Canceled);
    let worker = client.worker().await;
    assert!(client.claim(worker, 10).await.is_empty(), "and no new attempt");
    let late = client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(late, Settled::Ended(TaskState::Canceled));
    assert_one_final_status(&client, run.key()).await;
}

pub async fn an_unknown_task_cannot_be_canceled(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = TaskKey { owner: client.owner, task: TaskId::new(uuid()) };
    assert_eq!(cancel(&client, key, GRACE).await, CancelRequested::NotFound);
}

pub async fn a_cancel_and_an_end_have_one_winner(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..20 {
        let key = client.accepted().await;
        let worker = client.worker().await;
        let (canceled, settled) = {
            let (one, two) = (client.clone(), client.clone());
            let asked =
                longhaul_runtime::spawn("cancel", async move { cancel(&one, key, GRACE).await });
            let ran = longhaul_runtime::spawn("run", async move {
                let claimed = two.claim(worker, 1).await.pop()?;
                let mut run = RunWriter::new(worker, claimed);
                Some(two.store.settle(run.end(TerminalState::Completed)).await.unwrap())
            });
            (asked.await.unwrap(), ran.await.unwrap())
        };
        let expected = match (canceled, settled) {
            (CancelRequested::Canceled { .. }, None) => TaskState::Canceled,
            (CancelRequested::Asked { .. }, Some(Settled::Now { .. }))
            | (CancelRequested::Ended(TaskState::Completed), Some(Settled::Now { .. })) => {
                TaskState::Completed
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(client.state(key).await, expected);
        assert_one_final_status(&client, key).await;
    }
}

pub async fn a_forced_cancel_and_an_end_have_one_winner(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..20 {
        let mut run = client.running().await;
        cancel(&client, run.key(), Duration::ZERO).await;
        let (key, settle) = (run.key(), run.end(TerminalState::Completed));
        let outcomes = run_concurrently((0..3).map(|n| {
            let (store, settle) = (Arc::clone(&client.store), settle.clone());
            async move {
                if n == 1 {
                    return matches!(store.settle(settle).await.unwrap(), Settled::Now { .. });
                }
                store.reap(REAP_ALL).await.unwrap().done.contains(&Reaped::Canceled { key })
            }
        }))
        .await;
        let winners = outcomes.iter().filter(|won| **won).count();
        assert!(winners <= 1, "{outcomes:?}");
        eventually("it has ended", || async {
            client.reap().await;
            client.state(key).await.is_terminal()
        })
        .await;
        assert_one_final_status(&client, key).await;
    }
}

async fn assert_one_final_status(client: &TestClient, key: TaskKey) {
    let bodies = client.bodies(key).await;
    let ends = bodies.iter().filter(|b| b.status().is_some_and(|s| s.state.is_terminal())).count();
    assert_eq!(ends, 1, "{bodies:?}");
    assert!(bodies.last().unwrap().status().is_some(), "nothing follows the end");
}
