//! Isolation: no owner reaches the tasks of another, or learns that they exist.

use crate::kit::{TestClient, working};
use longhaul_domain::{Blob, BlobHash, OwnerId, Seq, TaskKey, TerminalState};
use longhaul_store::{
    Appended, CancelRequested, FollowedUp, ListQuery, ReadLimit, RequestCancel, Settled,
    SnapshotOptions, Store,
};
use std::{sync::Arc, time::Duration};

pub async fn another_owner_reads_nothing(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let bytes = bytes::Bytes::from_static(b"secret");
    let hash = BlobHash::digest(&bytes);
    let mut new_request = client.new_request("secret");
    new_request.accept.blobs = vec![Blob { hash, bytes }];
    client.create(new_request.clone()).await;
    let stolen = TaskKey { owner: other_owner.owner, task: new_request.key.task };
    let store = &client.store;
    let limit = ReadLimit::default();
    assert_eq!(store.read_task(stolen, SnapshotOptions::ALL).await.unwrap(), None);
    assert_eq!(store.read_log(stolen, Seq::START, limit).await.unwrap(), None);
    assert_eq!(store.read_logs(vec![(stolen, Seq::START)], limit).await.unwrap(), []);
    assert!(store.read_blobs(stolen.owner, vec![hash]).await.unwrap().is_empty());
    assert_eq!(store.read_blobs(client.owner, vec![hash]).await.unwrap().len(), 1);
    for (owner, count) in [(other_owner.owner, 0), (client.owner, 1)] {
        let page = store.list_tasks(everything(owner)).await.unwrap();
        assert_eq!((page.tasks.len(), page.total), (count, count as u64));
    }
}

pub async fn another_owner_writes_nothing(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let mut run = client.running().await;
    let key = run.key();
    let stolen = TaskKey { owner: other_owner.owner, task: key.task };
    let store = &client.store;
    assert_eq!(other_owner.follow_up(stolen, "mine?").await, FollowedUp::NotFound);
    let cancel = RequestCancel { key: stolen, grace: Duration::ZERO };
    assert_eq!(store.request_cancel(cancel).await.unwrap(), CancelRequested::NotFound);
    let mut append = run.append(vec![working()]);
    append.key = stolen;
    assert_eq!(store.append(append).await.unwrap(), Appended::Fenced);
    let mut settle = run.end(TerminalState::Completed);
    settle.output.key = stolen;
    assert_eq!(store.settle(settle).await.unwrap(), Settled::Fenced);
    assert_eq!(client.log(key).await.len(), 1);
}

pub async fn two_owners_may_use_the_same_task_id(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let mine = client.new_request("mine");
    let mut theirs = other_owner.new_request("theirs");
    theirs.key.task = mine.key.task;
    client.create(mine.clone()).await;
    other_owner.create(theirs.clone()).await;
    assert_eq!(client.task(mine.key).await.history[0].message.text(), "mine");
    assert_eq!(client.task(theirs.key).await.history[0].message.text(), "theirs");
    client.follow_up(theirs.key, "more").await;
    assert_eq!(client.log(mine.key).await.len(), 1);
    assert_eq!(client.log(theirs.key).await.len(), 2);
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
