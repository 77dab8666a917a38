//! Lists: newest status first, page by page, complete while tasks change.

use super::kit::{Scene, agent, chunk, status};
use crate::{ListQuery, RequestCancel, SnapshotOptions, Store, TaskPage};
use longhaul_domain::{Task, TaskId, TaskState, TerminalState};
use std::{collections::HashSet, sync::Arc, time::Duration};

fn query(scene: &Scene, page_size: u32) -> ListQuery {
    ListQuery {
        owner: scene.owner,
        agent: None,
        context: None,
        state: None,
        status_from: None,
        after: None,
        page_size,
        options: SnapshotOptions::STATUS,
    }
}

async fn list(scene: &Scene, query: ListQuery) -> TaskPage {
    scene.store.list_tasks(query).await.unwrap()
}

fn ids(tasks: &[Task]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.key.task).collect()
}

pub async fn pages_follow_one_another_in_order(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..23 {
        scene.accepted().await;
    }
    let (mut after, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = list(&scene, ListQuery { after, ..query(&scene, 5) }).await;
        assert_eq!(page.total, 23);
        pages += 1;
        all.extend(page.tasks);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages, all.len()), (5, 23));
    let place = |task: &Task| (task.status.at, task.key.task);
    assert!(all.windows(2).all(|pair| place(&pair[0]) > place(&pair[1])));
}

pub async fn a_full_last_page_has_no_next(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    assert_eq!(
        list(&scene, query(&scene, 4)).await,
        TaskPage { tasks: vec![], next: None, total: 0 }
    );
    for _ in 0..4 {
        scene.accepted().await;
    }
    let page = list(&scene, query(&scene, 4)).await;
    assert_eq!((page.tasks.len(), page.next), (4, None));
}

pub async fn filters_apply_together(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let done = scene.task(run.key()).await;
    let open = scene.asks("open");
    scene.create(open.clone()).await;
    let other = scene.for_agent("other").accepted().await;
    let all = || query(&scene, 10);
    let with = |query: ListQuery| {
        let scene = scene.clone();
        async move {
            let page = list(&scene, query).await;
            assert_eq!(page.total, page.tasks.len() as u64);
            let mut ids = ids(&page.tasks);
            ids.sort();
            ids
        }
    };
    let sorted = |mut ids: Vec<TaskId>| {
        ids.sort();
        ids
    };
    let (done_id, open_id) = (done.key.task, open.key.task);
    assert_eq!(with(all()).await, sorted(vec![done_id, open_id, other.task]));
    let by_agent = ListQuery { agent: Some(agent("echo")), ..all() };
    assert_eq!(with(by_agent.clone()).await, sorted(vec![done_id, open_id]));
    let by_context = ListQuery { context: Some(open.context.clone()), ..all() };
    assert_eq!(with(by_context.clone()).await, [open_id]);
    let by_state = ListQuery { state: Some(TaskState::Completed), ..all() };
    assert_eq!(with(by_state).await, [done_id]);
    let none = ListQuery { state: Some(TaskState::Completed), ..by_context.clone() };
    assert!(with(none).await.is_empty());
    let everything = ListQuery {
        context: Some(open.context.clone()),
        state: Some(TaskState::Submitted),
        status_from: Some(done.created_at),
        ..by_agent
    };
    assert_eq!(with(everything).await, [open_id]);
}

pub async fn a_time_filter_includes_its_moment(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let at = scene.task(scene.accepted().await).await.status.at;
    for (from, expected) in [(at, 1), (at + Duration::from_millis(1), 0)] {
        let page = list(&scene, ListQuery { status_from: Some(from), ..query(&scene, 10) }).await;
        assert_eq!(page.tasks.len(), expected);
    }
}

pub async fn a_list_shows_every_task_that_did_not_change_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(scene.accepted().await);
    }
    let changed: HashSet<TaskId> = keys.iter().step_by(3).map(|key| key.task).collect();
    let (mut after, mut seen) = (None, Vec::new());
    let mut to_change = changed.iter();
    loop {
        let page = list(&scene, ListQuery { after, ..query(&scene, 4) }).await;
        seen.extend(ids(&page.tasks));
        after = page.next;
        if after.is_none() {
            break;
        }
        for task in to_change.by_ref().take(2) {
            let key = longhaul_domain::TaskKey { owner: scene.owner, task: *task };
            let cancel = RequestCancel { key, grace: Duration::ZERO };
            scene.store.request_cancel(cancel).await.unwrap();
        }
        scene.accepted().await;
    }
    for key in keys.iter().filter(|key| !changed.contains(&key.task)) {
        assert_eq!(seen.iter().filter(|task| **task == key.task).count(), 1);
    }
}

pub async fn a_list_holds_what_a_read_would(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for n in 0..5 {
        let mut run = scene.running().await;
        let output = vec![
            status(TaskState::Working, "one"),
            chunk("a", "x", false),
            status(TaskState::Working, "two"),
            chunk("b", "y", true),
            chunk("a", "z", n % 2 == 0),
        ];
        scene.store.append(run.append(output)).await.unwrap();
        scene.follow_up(run.key(), "more").await;
        scene.store.settle(run.release()).await.unwrap();
        scene.claim(run.worker, 10).await;
    }
    for options in [
        SnapshotOptions::ALL,
        SnapshotOptions::STATUS,
        SnapshotOptions { history: 2, artifacts: false, ..SnapshotOptions::ALL },
        SnapshotOptions { history: 0, ..SnapshotOptions::ALL },
    ] {
        let page = list(&scene, ListQuery { options, ..query(&scene, 10) }).await;
        assert_eq!(page.tasks.len(), 5);
        for task in page.tasks {
            let read = scene.store.read_task(task.key, options).await.unwrap();
            assert_eq!(Some(task), read);
        }
    }
}
