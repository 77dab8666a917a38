//! Nobody reaches what belongs to another owner, nor learns that it exists.

use super::kit::{Scene, working};
use crate::{
    Appended, CancelRequested, FollowedUp, ListQuery, ReadLimit, RequestCancel, Settled,
    SnapshotOptions, Store,
};
use longhaul_domain::{Blob, BlobHash, OwnerId, Seq, TaskKey, TerminalState};
use std::{sync::Arc, time::Duration};

pub async fn a_stranger_reads_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let bytes = bytes::Bytes::from_static(b"secret");
    let hash = BlobHash::of(&bytes);
    let mut asks = scene.asks("secret");
    asks.accept.blobs = vec![Blob { hash, bytes }];
    scene.create(asks.clone()).await;
    let stolen = TaskKey { owner: stranger.owner, task: asks.key.task };
    let store = &scene.store;
    let limit = ReadLimit::default();
    assert_eq!(store.read_task(stolen, SnapshotOptions::ALL).await.unwrap(), None);
    assert_eq!(store.read_log(stolen, Seq::START, limit).await.unwrap(), None);
    assert_eq!(store.read_logs(vec![(stolen, Seq::START)], limit).await.unwrap(), []);
    assert_eq!(store.agent_of(stolen.owner, stolen.task).await.unwrap(), None);
    assert!(store.read_blobs(stolen.owner, vec![hash]).await.unwrap().is_empty());
    assert_eq!(store.read_blobs(scene.owner, vec![hash]).await.unwrap().len(), 1);
    for (owner, count) in [(stranger.owner, 0), (scene.owner, 1)] {
        let page = store.list_tasks(everything(owner)).await.unwrap();
        assert_eq!((page.tasks.len(), page.total), (count, count as u64));
    }
}

pub async fn a_stranger_writes_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let mut run = scene.running().await;
    let key = run.key();
    let stolen = TaskKey { owner: stranger.owner, task: key.task };
    let store = &scene.store;
    assert_eq!(stranger.follow_up(stolen, "mine?").await, FollowedUp::NotFound);
    let cancel = RequestCancel { key: stolen, grace: Duration::ZERO };
    assert_eq!(store.request_cancel(cancel).await.unwrap(), CancelRequested::NotFound);
    let mut append = run.append(vec![working()]);
    append.key = stolen;
    assert_eq!(store.append(append).await.unwrap(), Appended::Fenced);
    let mut settle = run.end(TerminalState::Completed);
    settle.output.key = stolen;
    assert_eq!(store.settle(settle).await.unwrap(), Settled::Fenced);
    assert_eq!(scene.log(key).await.len(), 1);
}

pub async fn two_owners_may_use_the_same_task_id(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let mine = scene.asks("mine");
    let mut theirs = stranger.asks("theirs");
    theirs.key.task = mine.key.task;
    scene.create(mine.clone()).await;
    stranger.create(theirs.clone()).await;
    assert_eq!(scene.task(mine.key).await.history[0].message.text(), "mine");
    assert_eq!(scene.task(theirs.key).await.history[0].message.text(), "theirs");
    scene.follow_up(theirs.key, "more").await;
    assert_eq!(scene.log(mine.key).await.len(), 1);
    assert_eq!(scene.log(theirs.key).await.len(), 2);
}

const fn everything(owner: OwnerId) -> ListQuery {
    ListQuery {
        owner,
        agent: None,
        context: None,
        state: None,
        status_from: None,
        after: None,
        page_size: 100,
        options: SnapshotOptions::ALL,
    }
}
