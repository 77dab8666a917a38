//! Snapshots and logs: from one view of the data, in order, and bounded.

use crate::kit::{TestClient, chunk, status, uuid, working};
use longhaul_domain::{ParkedState, Role, Seq, TaskId, TaskKey, TaskState, TerminalState};
use longhaul_store::{ReadLimit, SnapshotOptions, Store};
use std::sync::Arc;

const ROWS: fn(u32) -> ReadLimit =
    |rows| ReadLimit { rows, ..ReadLimit { rows: 0, bytes: 1 << 30 } };

pub async fn a_missing_task_reads_as_none(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = TaskKey { owner: client.owner, task: TaskId::new(uuid()) };
    assert_eq!(client.store.read_task(key, SnapshotOptions::ALL).await.unwrap(), None);
    assert_eq!(client.store.read_log(key, Seq::START, ROWS(1)).await.unwrap(), None);
    assert_eq!(client.store.read_logs(vec![(key, Seq::START)], ROWS(1)).await.unwrap(), []);
}

pub async fn a_log_is_read_by_page_even_past_its_end(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    for n in 0..8 {
        client.store.append(run.append(vec![chunk("a", "x", n > 0)])).await.unwrap();
    }
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let mut seen = Vec::new();
    for (after, rows, expected) in [(0, 4, 4), (4, 4, 4), (8, 4, 3), (11, 4, 0), (99, 4, 0)] {
        let page = client.store.read_log(run.key(), Seq(after), ROWS(rows)).await.unwrap().unwrap();
        assert_eq!(page.entries.len(), expected);
        assert_eq!((page.last_seq, page.state), (Seq(11), TaskState::Completed));
        seen.extend(page.entries.iter().map(|e| e.seq.0));
    }
    assert!(seen.into_iter().eq(1..=11));
}

pub async fn a_page_is_bounded_in_bytes_but_never_empty(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    for n in 0..10 {
        let large = "x".repeat(10_000);
        client.store.append(run.append(vec![chunk("a", &large, n > 0)])).await.unwrap();
    }
    let read = |bytes| {
        let (store, key) = (Arc::clone(&client.store), run.key());
        let limit = ReadLimit { rows: 100, bytes };
        async move { store.read_log(key, Seq(1), limit).await.unwrap().unwrap().entries.len() }
    };
    assert_eq!(read(1).await, 1);
    assert_eq!(read(25_000).await, 3);
    assert_eq!(read(1 << 20).await, 10);
}

pub async fn many_logs_are_read_at_once_if_they_have_grown(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let quiet = client.accepted().await;
    let strangers = client.other_owner().await.accepted().await;
    let stolen = TaskKey { owner: client.owner, task: strangers.task };
    client.store.append(run.append(vec![working(), working(), working()])).await.unwrap();
    let cursors =
        vec![(run.key(), Seq(2)), (quiet, Seq(1)), (strangers, Seq::START), (stolen, Seq::START)];
    let mut logs = client.store.read_logs(cursors, ROWS(1)).await.unwrap();
    logs.sort_by_key(|(key, _)| *key != run.key());
    assert_eq!(logs.len(), 2);
    let (key, page) = &logs[0];
    assert_eq!((*key, page.entries.len(), page.entries[0].seq), (run.key(), 1, Seq(3)));
    assert_eq!((page.last_seq, page.state), (Seq(4), TaskState::Working));
    let (key, page) = &logs[1];
    assert_eq!((*key, page.entries[0].seq, page.state), (strangers, Seq(1), TaskState::Submitted));
    assert!(client.store.read_logs(Vec::new(), ROWS(1)).await.unwrap().is_empty());
}

pub async fn a_snapshot_contains_what_was_asked_for(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let said = |text| status(TaskState::Working, text);
    let output = vec![said("one"), chunk("a", "x", false), said("two"), said("three")];
    client.store.append(run.append(output)).await.unwrap();
    let read = |history, artifacts| {
        let (store, key) = (Arc::clone(&client.store), run.key());
        let options = SnapshotOptions { history, artifacts, ..SnapshotOptions::ALL };
        async move {
            let task = store.read_task(key, options).await.unwrap().unwrap();
            assert_eq!(task.status.message.unwrap().text(), "three");
            assert_eq!(task.last_seq, Seq(5));
            let texts: Vec<_> = task.history.iter().map(|i| i.message.text()).collect();
            (texts.join(" "), task.artifacts.len())
        }
    };
    assert_eq!(read(1_000, true).await, ("hello one two".to_owned(), 1));
    assert_eq!(read(2, false).await, ("one two".to_owned(), 0));
    assert_eq!(read(0, true).await, (String::new(), 1));
}

pub async fn an_artifact_starts_at_its_last_beginning(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let steps = [
        ("b", "lost", true),
        ("a", "1", false),
        ("b", "lost too", true),
        ("a", "2", true),
        ("b", "kept", false),
        ("c", "alone", true),
        ("b", "and this", true),
    ];
    let output = steps.into_iter().map(|(id, text, append)| chunk(id, text, append)).collect();
    client.store.append(run.append(output)).await.unwrap();
    let artifacts: Vec<(String, Vec<String>)> = client
        .task(run.key())
        .await
        .artifacts
        .into_iter()
        .map(|a| {
            let texts = a.parts.iter().filter_map(|p| p.as_text().map(str::to_owned));
            (a.artifact_id.to_string(), texts.collect())
        })
        .collect();
    let expected = [("b", vec!["kept", "and this"]), ("a", vec!["1", "2"]), ("c", vec!["alone"])];
    let expected: Vec<(String, Vec<String>)> = expected
        .into_iter()
        .map(|(id, texts)| (id.to_owned(), texts.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(artifacts, expected);
}

pub async fn an_artifact_continues_across_writes(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    for (id, append) in [("a", true), ("a", true), ("b", false), ("a", true), ("b", true)] {
        client.store.append(run.append(vec![chunk(id, "x", append)])).await.unwrap();
    }
    let artifacts = client.task(run.key()).await.artifacts;
    let lengths: Vec<_> = artifacts.iter().map(|a| a.parts.len()).collect();
    assert_eq!(lengths, [3, 2]);
}

pub async fn a_question_precedes_its_answer(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (key, _) = client.parked().await;
    client.follow_up(key, "this one").await;
    let mut run = client.claim_one().await;
    client.store.settle(run.park(ParkedState::InputRequired, "sure?")).await.unwrap();
    let task = client.task(key).await;
    let spoken: Vec<_> = task.history.iter().map(|i| (i.message.role, i.message.text())).collect();
    assert_eq!(
        spoken,
        [
            (Role::User, "hello".to_owned()),
            (Role::Agent, "which?".to_owned()),
            (Role::User, "this one".to_owned())
        ]
    );
    assert_eq!(task.status.message.unwrap().text(), "sure?");
}
