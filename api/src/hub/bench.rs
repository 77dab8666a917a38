//! Measures the delivery of one event to many readers: encoding is paid once, the rest by each
//! reader.
//!
//! Run with `cargo test -p longhaul-api --release hub::bench -- --ignored --nocapture`.

use super::{
    EncodingSlot,
    topic::{RingRead, Topic},
};
use crate::service::EventFrame;
use axum::body::Bytes;
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, ContextId, EntryBody, LogEntry, OwnerId, Part, Seq,
    TaskId, TaskKey, Timestamp,
};
use longhaul_wire::{Dialect, ResultPayload, StreamEvent, write::to_vec};
use std::sync::Arc;
use tokio::time::Instant;

/// Events published per measurement.
const EVENTS: u32 = 200;

/// Readers of one task's log.
struct Readers {
    topic: Topic,
    task: Arc<(TaskKey, ContextId)>,
    /// Place of each reader.
    positions: Vec<Seq>,
    last: Seq,
}

impl Readers {
    /// Readers of a task that has no entries yet.
    fn new(readers: usize) -> Self {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(uuid::Uuid::from_u128(7)) };
        let task = Arc::new((key, ContextId::new("context").unwrap()));
        let positions = vec![Seq::START; readers];
        Self { topic: Topic::new(Seq::START), task, positions, last: Seq::START }
    }

    /// Publishes one event and lets every reader take its bytes; returns their total number.
    fn publish(&mut self, text: &str) -> usize {
        self.last = self.last.next();
        self.topic.fill(vec![entry(self.last, text)], self.last, u64::MAX);
        let mut taken = 0;
        for position in &mut self.positions {
            let RingRead::Entries(entries) = self.topic.read_after(*position) else { continue };
            *position = self.last;
            for entry in entries {
                let frame = EventFrame::shared(entry, Arc::clone(&self.task));
                let bytes = frame.encoded(EncodingSlot::new(0), encode);
                taken += bytes.map_or(0, |bytes| bytes.len());
            }
        }
        taken
    }
}

fn encode(event: &StreamEvent) -> Option<Bytes> {
    to_vec(&Dialect::V1_0.view(ResultPayload::Event(event))).ok().map(Bytes::from)
}

fn entry(seq: Seq, text: &str) -> LogEntry {
    let update = ArtifactUpdate {
        artifact: Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text(text.to_owned())]),
        append: true,
        last_chunk: false,
        metadata: None,
    };
    LogEntry { seq, at: Timestamp::UNIX_EPOCH, attempt: 1, body: EntryBody::Artifact(update) }
}

#[test]
#[ignore = "a measurement; needs a release build"]
fn delivery_to_many_readers() {
    for bytes in [100, 10_000] {
        let text = "x".repeat(bytes);
        for count in [1, 100, 1_000, 5_000] {
            let mut readers = Readers::new(count);
            let begun = Instant::now();
            for _ in 0..EVENTS {
                assert!(readers.publish(&text) > count * bytes);
            }
            let per_event = begun.elapsed() / EVENTS;
            println!("{bytes} bytes to {count} readers: {per_event:?} per event");
        }
    }
}
