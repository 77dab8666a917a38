//! Snapshots stay within the room that is given for them.

use super::kit::{Run, Scene, chunk, status};
use crate::{ListQuery, ReadBudget, SnapshotOptions, Store, StoreError};
use longhaul_domain::{Task, TaskState};
use std::sync::Arc;

/// What one entry of a case bears.
const BYTES: usize = 10_000;

fn large() -> String {
    "x".repeat(BYTES)
}

async fn read(scene: &Scene, run: &Run, budget: ReadBudget) -> Result<Task, StoreError> {
    let options = SnapshotOptions { budget, ..SnapshotOptions::ALL };
    scene.store.read_task(run.key(), options).await.map(Option::unwrap)
}

/// A running task with so many chunks of one artifact.
async fn made(scene: &Scene, chunks: usize) -> Run {
    let mut run = scene.running().await;
    for n in 0..chunks {
        scene.store.append(run.append(vec![chunk("a", &large(), n > 0)])).await.unwrap();
    }
    run
}

/// A running task that has said so much, beside the first message and its status.
async fn said(scene: &Scene, messages: usize) -> Run {
    let mut run = scene.running().await;
    let mut says: Vec<_> = (0..messages).map(|_| status(TaskState::Working, &large())).collect();
    says.push(status(TaskState::Working, "now"));
    scene.store.append(run.append(says)).await.unwrap();
    run
}

fn too_large<T: std::fmt::Debug>(answer: &Result<T, StoreError>, bytes: u64) {
    assert!(
        matches!(answer, Err(StoreError::TooLarge { budget }) if *budget <= bytes),
        "{answer:?}"
    );
}

pub async fn what_has_room_is_read_whole(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = made(&scene, 5).await;
    let whole = scene.task(run.key()).await;
    for budget in
        [ReadBudget::Strict(60_000), ReadBudget::TrimHistory(60_000), ReadBudget::Strict(u64::MAX)]
    {
        assert_eq!(read(&scene, &run, budget).await.unwrap(), whole);
    }
}

pub async fn artifacts_without_room_are_refused(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = made(&scene, 5).await;
    for budget in
        [ReadBudget::Strict(45_000), ReadBudget::TrimHistory(45_000), ReadBudget::TrimHistory(0)]
    {
        too_large(&read(&scene, &run, budget).await, 45_000);
    }
    let options = SnapshotOptions { budget: ReadBudget::Strict(0), ..SnapshotOptions::STATUS };
    let status = scene.store.read_task(run.key(), options).await.unwrap().unwrap();
    assert_eq!(status.artifacts, []);
}

pub async fn what_was_replaced_takes_no_room(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    let small = |append| chunk("small", "x", append);
    scene.store.append(run.append(vec![small(false)])).await.unwrap();
    for _ in 0..5 {
        scene
            .store
            .append(run.append(vec![chunk("a", &large(), false), small(true)]))
            .await
            .unwrap();
    }
    let whole = scene.task(run.key()).await;
    assert_eq!(whole.artifacts.len(), 2);
    assert_eq!(read(&scene, &run, ReadBudget::Strict(20_000)).await.unwrap(), whole);
    too_large(&read(&scene, &run, ReadBudget::TrimHistory(5_000)).await, 5_000);
    // The small one began before all that was replaced, so that it matters only where it goes on.
    scene.store.append(run.append(vec![chunk("late", "x", false)])).await.unwrap();
    let whole = scene.task(run.key()).await;
    assert_eq!(read(&scene, &run, ReadBudget::Strict(20_000)).await.unwrap(), whole);
    too_large(&read(&scene, &run, ReadBudget::TrimHistory(5_000)).await, 5_000);
}

pub async fn the_oldest_messages_give_way(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = said(&scene, 5).await;
    let whole = scene.task(run.key()).await;
    assert_eq!(whole.history.len(), 6);
    for (budget, kept) in [(0, 0), (5_000, 0), (25_000, 2), (45_000, 4), (60_000, 6)] {
        let task = read(&scene, &run, ReadBudget::TrimHistory(budget)).await.unwrap();
        assert_eq!(task.history, whole.history[6 - kept..], "{budget}");
        assert_eq!(task.status, whole.status);
    }
}

pub async fn nothing_is_left_out_of_a_whole(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let run = said(&scene, 5).await;
    too_large(&read(&scene, &run, ReadBudget::Strict(45_000)).await, 45_000);
    assert_eq!(read(&scene, &run, ReadBudget::Strict(60_000)).await.unwrap().history.len(), 6);
}

pub async fn a_page_shares_its_room(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (talks, makes) = (said(&scene, 5).await, made(&scene, 2).await);
    let page = |budget| {
        let store = Arc::clone(&scene.store);
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
    let of = |tasks: Vec<Task>, run: &Run| tasks.into_iter().find(|t| t.key == run.key()).unwrap();
    let whole = page(ReadBudget::TrimHistory(100_000)).await.unwrap().tasks;
    assert_eq!(of(whole, &talks).history.len(), 6);
    // Half of what the artifact leaves is too small for more than one.
    let tight = page(ReadBudget::TrimHistory(50_000)).await.unwrap().tasks;
    assert_eq!(of(tight.clone(), &talks).history.len(), 1);
    let (makes, talked) = (of(tight, &makes), page(ReadBudget::Strict(50_000)).await);
    assert_eq!((makes.history.len(), makes.artifacts.len()), (1, 1));
    too_large(&talked, 50_000);
    too_large(&page(ReadBudget::TrimHistory(15_000)).await, 15_000);
}
