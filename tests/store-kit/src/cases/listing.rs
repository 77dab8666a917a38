//! Lists: newest status first, page by page, and complete while tasks change.

use crate::kit::{TestClient, agent, chunk, status};
use longhaul_domain::{Task, TaskId, TaskState, TerminalState};
use longhaul_store::{ListQuery, RequestCancel, SnapshotOptions, Store, TaskPage};
use std::{collections::HashSet, sync::Arc, time::Duration};

fn query(client: &TestClient, page_size: u32) -> ListQuery {
    ListQuery {
        owner: client.owner,
        agent: None,
        context: None,
        state: None,
        status_from: None,
        after: None,
        page_size,
        options: SnapshotOptions::STATUS,
    }
}

async fn list(client: &TestClient, query: ListQuery) -> TaskPage {
    client.store.list_tasks(query).await.unwrap()
}

fn ids(tasks: &[Task]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.key.task).collect()
}

pub async fn pages_follow_one_another_in_order(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..23 {
        client.accepted().await;
    }
    let (mut after, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = list(&client, ListQuery { after, ..query(&client, 5) }).await;
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
    let client = TestClient::new(store).await;
    assert_eq!(
        list(&client, query(&client, 4)).await,
        TaskPage { tasks: vec![], next: None, total: 0 }
    );
    for _ in 0..4 {
        client.accepted().await;
    }
    let page = list(&client, query(&client, 4)).await;
    assert_eq!((page.tasks.len(), page.next), (4, None));
}

pub async fn filters_apply_together(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    let done = client.task(run.key()).await;
    let open = client.new_request("open");
    client.create(open.clone()).await;
    let other = client.for_agent("other").accepted().await;
    let all = || query(&client, 10);
    let with = |query: ListQuery| {
        let client = client.clone();
        async move {
            let page = list(&client, query).await;
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
    let client = TestClient::new(store).await;
    let at = client.task(client.accepted().await).await.status.at;
    for (from, expected) in [(at, 1), (at + Duration::from_millis(1), 0)] {
        let page = list(&client, ListQuery { status_from: Some(from), ..query(&client, 10) }).await;
        assert_eq!(page.tasks.len(), expected);
    }
}

pub async fn a_list_shows_every_task_that_did_not_change_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(client.accepted().await);
    }
    let changed: HashSet<TaskId> = keys.iter().step_by(3).map(|key| key.task).collect();
    let (mut after, mut seen) = (None, Vec::new());
    let mut to_change = changed.iter();
    loop {
        let page = list(&client, ListQuery { after, ..query(&client, 4) }).await;
        seen.extend(ids(&page.tasks));
        after = page.next;
        if after.is_none() {
            break;
        }
        for task in to_change.by_ref().take(2) {
            let key = longhaul_domain::TaskKey { owner: client.owner, task: *task };
            let cancel = RequestCancel { key, grace: Duration::ZERO };
            client.store.request_cancel(cancel).await.unwrap();
        }
        client.accepted().await;
    }
    for key in keys.iter().filter(|key| !changed.contains(&key.task)) {
        assert_eq!(seen.iter().filter(|task| **task == key.task).count(), 1);
    }
}

pub async fn a_list_returns_the_same_tasks_as_reads(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for n in 0..5 {
        let mut run = client.running().await;
        let output = vec![
            status(TaskState::Working, "one"),
            chunk("a", "x", false),
            status(TaskState::Working, "two"),
            chunk("b", "y", true),
            chunk("a", "z", n % 2 == 0),
        ];
        client.store.append(run.append(output)).await.unwrap();
        client.follow_up(run.key(), "more").await;
        client.store.settle(run.release()).await.unwrap();
        client.claim(run.worker, 10).await;
    }
    for options in [
        SnapshotOptions::ALL,
        SnapshotOptions::STATUS,
        SnapshotOptions { history: 2, artifacts: false, ..SnapshotOptions::ALL },
        SnapshotOptions { history: 0, ..SnapshotOptions::ALL },
    ] {
        let page = list(&client, ListQuery { options, ..query(&client, 10) }).await;
        assert_eq!(page.tasks.len(), 5);
        for task in page.tasks {
            let read = client.store.read_task(task.key, options).await.unwrap();
            assert_eq!(Some(task), read);
        }
    }
}
