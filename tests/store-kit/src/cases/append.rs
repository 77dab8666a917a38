//! Output of a run: in order, once, and only from the holder of the run.

use crate::kit::{RunWriter, TestClient, chunk, run_concurrently, status, working};
use longhaul_domain::{EntryBody, Epoch, Seq, TaskId, TaskState, TerminalState};
use longhaul_store::{Appended, Store, StoreError};
use std::sync::Arc;

pub async fn output_continues_the_log(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let first = vec![working(), status(TaskState::Working, "on it"), chunk("a", "1", false)];
    let second = vec![chunk("a", "2", true)];
    let outcome = client.store.append(run.append(first.clone())).await.unwrap();
    assert_eq!(outcome, Appended::Now { last: Seq(4) });
    let outcome = client.store.append(run.append(second.clone())).await.unwrap();
    assert_eq!(outcome, Appended::Now { last: Seq(5) });
    let bodies = client.bodies(run.key()).await;
    assert_eq!(bodies[1..], [first, second].concat());
    let log = client.log(run.key()).await;
    assert!(log[1..].iter().all(|entry| entry.attempt == 1));
    assert!(log.windows(2).all(|pair| pair[0].at <= pair[1].at), "time does not run backwards");
}

pub async fn a_repeated_append_is_written_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let first = run.append(vec![working(), chunk("a", "1", false)]);
    client.store.append(first.clone()).await.unwrap();
    let outcome = client.store.append(first.clone()).await.unwrap();
    assert_eq!(outcome, Appended::Already { last: Seq(3) });
    client.store.append(run.append(vec![chunk("a", "2", true)])).await.unwrap();
    let outcome = client.store.append(first).await.unwrap();
    assert_eq!(outcome, Appended::Already { last: Seq(4) }, "also when more has come since");
    assert_eq!(client.log(run.key()).await.len(), 4);
}

pub async fn the_same_append_many_times_at_once_is_written_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let append = run.append(vec![working(), chunk("a", "1", false)]);
    let answers = run_concurrently((0..10).map(|_| {
        let (store, append) = (Arc::clone(&client.store), append.clone());
        async move { store.append(append).await.unwrap() }
    }))
    .await;
    let now = answers.iter().filter(|a| **a == Appended::Now { last: Seq(3) }).count();
    let already = answers.iter().filter(|a| **a == Appended::Already { last: Seq(3) }).count();
    assert_eq!((now, already), (1, 9));
    assert_eq!(client.log(run.key()).await.len(), 3);
}

pub async fn output_with_a_wrong_fence_is_refused(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let good = run.append(vec![working()]);
    let mut token = good.clone();
    token.fence.token = uuid::Uuid::nil();
    let mut epoch = good.clone();
    epoch.fence.epoch = Epoch(good.fence.epoch.0 + 1);
    let mut nowhere = good.clone();
    nowhere.key.task = TaskId::new(crate::kit::uuid());
    let mut strangers = good.clone();
    strangers.key.owner = client.other_owner().await.owner;
    for wrong in [token, epoch, nowhere, strangers] {
        assert_eq!(client.store.append(wrong).await.unwrap(), Appended::Fenced);
    }
    assert_eq!(client.log(run.key()).await.len(), 1);
    assert_eq!(client.store.append(good).await.unwrap(), Appended::Now { last: Seq(2) });
}

pub async fn output_after_the_end_is_refused_by_name(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.end(TerminalState::Failed)).await.unwrap();
    let outcome = client.store.append(run.append(vec![working()])).await.unwrap();
    assert_eq!(outcome, Appended::Ended(TaskState::Failed));
    assert_eq!(client.log(run.key()).await.len(), 3);
}

pub async fn an_illegal_status_is_refused_alone(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut runs = claimed(&client, 12).await;
    let appends: Vec<_> = runs
        .iter_mut()
        .enumerate()
        .map(|(n, run)| {
            let bad = status(TaskState::Submitted, "no");
            run.append(if n == 5 { vec![working(), bad] } else { vec![working()] })
        })
        .collect();
    let answers = run_concurrently(appends.into_iter().map(|append| {
        let store = Arc::clone(&client.store);
        async move { store.append(append).await }
    }))
    .await;
    for (n, (run, answer)) in runs.iter().zip(answers).enumerate() {
        if n == 5 {
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
            assert_eq!(client.log(run.key()).await.len(), 1, "nothing of it was written");
        } else {
            assert_eq!(answer.unwrap(), Appended::Now { last: Seq(2) });
        }
    }
}

pub async fn many_tasks_write_at_once_without_gaps(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let runs = claimed(&client, 16).await;
    let keys: Vec<_> = runs.iter().map(RunWriter::key).collect();
    run_concurrently(runs.into_iter().map(|mut run| {
        let store = Arc::clone(&client.store);
        async move {
            for n in 0i64..25 {
                let first = chunk("a", &n.to_string(), n > 0);
                let last = Seq(1 + (n + 1) * 2);
                let append = run.append(vec![working(), first]);
                assert_eq!(store.append(append).await.unwrap(), Appended::Now { last });
            }
        }
    }))
    .await;
    for key in keys {
        let bodies = client.bodies(key).await;
        assert_eq!(bodies.len(), 51);
        let chunks = bodies.iter().filter_map(|body| match body {
            EntryBody::Artifact(update) => update.artifact.parts[0].as_text(),
            _ => None,
        });
        assert!(chunks.eq((0..25).map(|n| n.to_string())), "in the order of writing");
    }
}

/// Creates this many tasks, all claimed by one worker.
async fn claimed(client: &TestClient, count: u32) -> Vec<RunWriter> {
    for _ in 0..count {
        client.accepted().await;
    }
    let worker = client.worker().await;
    let claimed = client.claim(worker, count).await;
    claimed.into_iter().map(|claimed| RunWriter::new(worker, claimed)).collect()
}

pub async fn a_run_cannot_write_client_messages(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let words = || EntryBody::Message(crate::kit::said("m", "it was me"));
    let outcome = client.store.append(run.append(vec![working(), words()])).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    let mut end = run.end(TerminalState::Completed);
    end.output.entries.insert(0, words());
    let outcome = client.store.settle(end).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    let mut release = run.release();
    release.output.entries.push(words());
    let outcome = client.store.settle(release).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    assert_eq!(client.log(run.key()).await.len(), 1);
}
