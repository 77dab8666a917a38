//! Large contents: kept once per owner, given back byte for byte.

use super::kit::{Scene, chunk, working};
use crate::{Accepted, FollowedUp, Store};
use bytes::Bytes;
use longhaul_domain::{Blob, BlobHash, EntryBody, Part, TerminalState, blob::offload_to_blobs};
use std::sync::Arc;

fn blob(byte: u8, len: usize) -> Blob {
    let bytes = Bytes::from(vec![byte; len]);
    Blob { hash: BlobHash::of(&bytes), bytes }
}

pub async fn blobs_of_every_write_come_back(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let blobs = [blob(0, 100_000), blob(1, 1), blob(2, 300_000), blob(3, 2_000_000)];
    let mut asks = scene.asks("with blob");
    asks.accept.blobs = vec![blobs[0].clone()];
    scene.create(asks).await;
    let mut run = scene.claim_one().await;
    let mut says = scene.says(run.key(), "more");
    says.accept.blobs = vec![blobs[1].clone()];
    scene.store.accept_follow_up(says).await.unwrap();
    run.read = longhaul_domain::Seq(2);
    let mut append = run.append(vec![working()]);
    append.blobs = vec![blobs[2].clone()];
    scene.store.append(append).await.unwrap();
    let mut settle = run.end(TerminalState::Completed);
    settle.output.blobs = vec![blobs[3].clone()];
    scene.store.settle(settle).await.unwrap();
    let unknown = BlobHash::of(b"unknown");
    let hashes = blobs.iter().map(|b| b.hash).chain([unknown]).collect();
    let read = scene.store.read_blobs(scene.owner, hashes).await.unwrap();
    assert_eq!(read.len(), 4);
    for blob in blobs {
        assert_eq!(read[&blob.hash], blob.bytes);
    }
    assert!(scene.store.read_blobs(scene.owner, Vec::new()).await.unwrap().is_empty());
}

pub async fn the_same_blob_may_come_many_times(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let blob = blob(9, 70_000);
    for scene in [&scene, &scene, &stranger] {
        let mut asks = scene.asks("again");
        asks.accept.blobs = vec![blob.clone(), blob.clone()];
        assert!(matches!(scene.store.accept_new(asks).await.unwrap(), Accepted::Created { .. }));
        let read = scene.store.read_blobs(scene.owner, vec![blob.hash]).await.unwrap();
        assert_eq!(read[&blob.hash], blob.bytes);
    }
}

pub async fn a_large_part_stands_by_reference_in_the_log(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    let large = "é".repeat(100_000);
    let mut body = chunk("a", &large, false);
    let blobs = offload_to_blobs(body.blob_slots());
    assert_eq!(blobs.len(), 1);
    let mut append = run.append(vec![body.clone()]);
    append.blobs = blobs;
    scene.store.append(append).await.unwrap();
    assert_eq!(scene.bodies(run.key()).await[1], body);
    let EntryBody::Artifact(update) = body else { panic!("an artifact") };
    let reference = *update.artifact.parts[0].blob().unwrap();
    assert_eq!(scene.task(run.key()).await.artifacts, [update.artifact]);
    let mut read = scene.store.read_blobs(scene.owner, vec![reference.hash]).await.unwrap();
    let bytes = read.remove(&reference.hash).unwrap();
    assert_eq!(reference.restore(bytes).unwrap(), Part::text(large).content);
}

pub async fn a_repeated_message_with_a_blob_is_a_duplicate(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    let mut says = scene.says(key, "with blob");
    says.accept.blobs = vec![blob(4, 80_000)];
    let first = scene.store.accept_follow_up(says.clone()).await.unwrap();
    assert!(matches!(first, FollowedUp::Appended { .. }), "{first:?}");
    let again = scene.store.accept_follow_up(says).await.unwrap();
    assert!(matches!(again, FollowedUp::Duplicate { .. }), "{again:?}");
}
