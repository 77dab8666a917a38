//! Read budgets: snapshots stay within them.

use crate::kit::{RunWriter, TestClient, chunk, status};
use longhaul_domain::{Task, TaskState};
use longhaul_store::{ListQuery, ReadBudget, SnapshotOptions, Store, StoreError};
use std::sync::Arc;

/// Bytes of one entry in these cases.
const BYTES: usize = 10_000;

fn large() -> String {
    "x".repeat(BYTES)
}

async fn read(
    client: &TestClient,
    run: &RunWriter,
    budget: ReadBudget,
) -> Result<Task, StoreError> {
    let options = SnapshotOptions { budget, ..SnapshotOptions::ALL };
    client.store.read_task(run.key(), options).await.map(Option::unwrap)
}

/// Creates a running task with this many chunks of one artifact.
async fn made(client: &TestClient, chunks: usize) -> RunWriter {
    let mut run = client.running().await;
    for n in 0..chunks {
        client.store.append(run.append(vec![chunk("a", &large(), n > 0)])).await.unwrap();
    }
    run
}

/// Creates a running task with this many messages besides the first one and its status.
async fn said(client: &TestClient, messages: usize) -> RunWriter {
    let mut run = client.running().await;
    let mut updates: Vec<_> = (0..messages).map(|_| status(TaskState::Working, &large())).collect();
    updates.push(status(TaskState::Working, "now"));
    client.store.append(run.append(updates)).await.unwrap();
    run
}

fn too_large<T: std::fmt::Debug>(answer: &Result<T, StoreError>, bytes: u64) {
    assert!(
        matches!(answer, Err(StoreError::TooLarge { budget }) if *budget <= bytes),
        "{answer:?}"
    );
}

pub async fn a_task_within_the_budget_is_read_completely(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = made(&client, 5).await;
    let whole = client.task(run.key()).await;
    for budget in
        [ReadBudget::Strict(60_000), ReadBudget::TrimHistory(60_000), ReadBudget::Strict(u64::MAX)]
    {
        assert_eq!(read(&client, &run, budget).await.unwrap(), whole);
    }
}

pub async fn artifacts_over_the_budget_are_refused(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = made(&client, 5).await;
    for budget in
        [ReadBudget::Strict(45_000), ReadBudget::TrimHistory(45_000), ReadBudget::TrimHistory(0)]
    {
        too_large(&read(&client, &run, budget).await, 45_000);
    }
    let options = SnapshotOptions { budget: ReadBudget::Strict(0), ..SnapshotOptions::STATUS };
    let status = client.store.read_task(run.key(), options).await.unwrap().unwrap();
    assert_eq!(status.artifacts, []);
}

pub async fn replaced_chunks_do_not_count(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let small = |append| chunk("small", "x", append);
    client.store.append(run.append(vec![small(false)])).await.unwrap();
    for _ in 0..5 {
        client
            .store
            .append(run.append(vec![chunk("a", &large(), false), small(true)]))
            .await
            .unwrap();
    }
    let whole = client.task(run.key()).await;
    assert_eq!(whole.artifacts.len(), 2);
    assert_eq!(read(&client, &run, ReadBudget::Strict(20_000)).await.unwrap(), whole);
    too_large(&read(&client, &run, ReadBudget::TrimHistory(5_000)).await, 5_000);
    // The small artifact began before the replaced chunks, so it counts only with what follows.
    client.store.append(run.append(vec![chunk("late", "x", false)])).await.unwrap();
    let whole = client.task(run.key()).await;
    assert_eq!(read(&client, &run, ReadBudget::Strict(20_000)).await.unwrap(), whole);
    too_large(&read(&client, &run, ReadBudget::TrimHistory(5_000)).await, 5_000);
}

pub async fn the_oldest_messages_are_left_out(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = said(&client, 5).await;
    let whole = client.task(run.key()).await;
    assert_eq!(whole.history.len(), 6);
    for (budget, kept) in [(0, 0), (5_000, 0), (25_000, 2), (45_000, 4), (60_000, 6)] {
        let task = read(&client, &run, ReadBudget::TrimHistory(budget)).await.unwrap();
        assert_eq!(task.history, whole.history[6 - kept..], "{budget}");
        assert_eq!(task.status, whole.status);
    }
}

pub async fn a_strict_budget_leaves_nothing_out(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let run = said(&client, 5).await;
    too_large(&read(&client, &run, ReadBudget::Strict(45_000)).await, 45_000);
    assert_eq!(read(&client, &run, ReadBudget::Strict(60_000)).await.unwrap().history.len(), 6);
}

pub async fn a_page_shares_its_budget(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (talks, makes) = (said(&client, 5).await, made(&client, 2).await);
    let page = |budget| {
        let store = Arc::clone(&client.store);
        let query = ListQuery {
            owner: talks.key().owner,
            agent: None,
            context: None,
            state: None,
            status_from: None,
            after: None,
            page_size: 10,
            options: SnapshotOptions { budget, ..SnapshotOptions::ALL },
        };
        async move { store.list_tasks(query).await }
    };
    let of =
        |tasks: Vec<Task>, run: &RunWriter| tasks.into_iter().find(|t| t.key == run.key()).unwrap();
    let whole = page(ReadBudget::TrimHistory(100_000)).await.unwrap().tasks;
    assert_eq!(of(whole, &talks).history.len(), 6);
    // Half of the rest beside the artifact holds only one message.
    let tight = page(ReadBudget::TrimHistory(50_000)).await.unwrap().tasks;
    assert_eq!(of(tight.clone(), &talks).history.len(), 1);
    let (makes, talked) = (of(tight, &makes), page(ReadBudget::Strict(50_000)).await);
    assert_eq!((makes.history.len(), makes.artifacts.len()), (1, 1));
    too_large(&talked, 50_000);
    too_large(&page(ReadBudget::TrimHistory(15_000)).await, 15_000);
}
