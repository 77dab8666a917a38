//! Large contents: stored once per owner, and read back byte for byte.

use crate::kit::{TestClient, chunk, working};
use bytes::Bytes;
use longhaul_domain::{Blob, BlobHash, EntryBody, Part, TerminalState, offload::offload_to_blobs};
use longhaul_store::{Accepted, FollowedUp, Store};
use std::sync::Arc;

fn blob(byte: u8, len: usize) -> Blob {
    let bytes = Bytes::from(vec![byte; len]);
    Blob { hash: BlobHash::digest(&bytes), bytes }
}

pub async fn blobs_of_every_write_come_back(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let blobs = [blob(0, 100_000), blob(1, 1), blob(2, 300_000), blob(3, 2_000_000)];
    let mut new_request = client.new_request("with blob");
    new_request.accept.blobs = vec![blobs[0].clone()];
    client.create(new_request).await;
    let mut run = client.claim_one().await;
    let mut follow_up = client.new_follow_up(run.key(), "more");
    follow_up.accept.blobs = vec![blobs[1].clone()];
    client.store.accept_follow_up(follow_up).await.unwrap();
    run.read = longhaul_domain::Seq(2);
    let mut append = run.append(vec![working()]);
    append.blobs = vec![blobs[2].clone()];
    client.store.append(append).await.unwrap();
    let mut settle = run.end(TerminalState::Completed);
    settle.output.blobs = vec![blobs[3].clone()];
    client.store.settle(settle).await.unwrap();
    let unknown = BlobHash::digest(b"unknown");
    let hashes = blobs.iter().map(|b| b.hash).chain([unknown]).collect();
    let read = client.store.read_blobs(client.owner, hashes).await.unwrap();
    assert_eq!(read.len(), 4);
    for blob in blobs {
        assert_eq!(read[&blob.hash], blob.bytes);
    }
    assert!(client.store.read_blobs(client.owner, Vec::new()).await.unwrap().is_empty());
}

pub async fn the_same_blob_may_come_many_times(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let blob = blob(9, 70_000);
    for client in [&client, &client, &other_owner] {
        let mut new_request = client.new_request("again");
        new_request.accept.blobs = vec![blob.clone(), blob.clone()];
        assert!(matches!(
            client.store.accept_new(new_request).await.unwrap(),
            Accepted::Created { .. }
        ));
        let read = client.store.read_blobs(client.owner, vec![blob.hash]).await.unwrap();
        assert_eq!(read[&blob.hash], blob.bytes);
    }
}

pub async fn a_large_part_is_in_the_log_by_reference(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let large = "é".repeat(100_000);
    let mut body = chunk("a", &large, false);
    let blobs = offload_to_blobs(body.blob_slots());
    assert_eq!(blobs.len(), 1);
    let mut append = run.append(vec![body.clone()]);
    append.blobs = blobs;
    client.store.append(append).await.unwrap();
    assert_eq!(client.bodies(run.key()).await[1], body);
    let EntryBody::Artifact(update) = body else { panic!("an artifact") };
    let reference = *update.artifact.parts[0].blob().unwrap();
    assert_eq!(client.task(run.key()).await.artifacts, [update.artifact]);
    let mut read = client.store.read_blobs(client.owner, vec![reference.hash]).await.unwrap();
    let bytes = read.remove(&reference.hash).unwrap();
    assert_eq!(reference.restore(bytes).unwrap(), Part::text(large).content);
}

pub async fn a_repeated_message_with_a_blob_is_a_duplicate(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let mut follow_up = client.new_follow_up(key, "with blob");
    follow_up.accept.blobs = vec![blob(4, 80_000)];
    let first = client.store.accept_follow_up(follow_up.clone()).await.unwrap();
    assert!(matches!(first, FollowedUp::Appended { .. }), "{first:?}");
    let again = client.store.accept_follow_up(follow_up).await.unwrap();
    assert!(matches!(again, FollowedUp::Duplicate { .. }), "{again:?}");
}
