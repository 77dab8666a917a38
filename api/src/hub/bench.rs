//! What benches reach of the hub: one task and many who follow it.

use super::topic::{Found, Topic};
use crate::service::Frame;
use axum::body::Bytes;
use longhaul_domain::{
    Artifact, ArtifactId, ArtifactUpdate, ContextId, EntryBody, LogEntry, OwnerId, Part, Seq,
    TaskId, TaskKey, Timestamp,
};
use longhaul_wire::{Dialect, ResultPayload, StreamEvent, write::to_vec};
use std::sync::Arc;

/// Readers of one task's log.
pub struct Readers {
    topic: Topic,
    task: Arc<(TaskKey, ContextId)>,
    /// Where each of them stands.
    places: Vec<Seq>,
    last: Seq,
}

impl Readers {
    /// So many, of a task that has nothing yet.
    ///
    /// # Panics
    ///
    /// Never: the names of the task are valid.
    pub fn new(readers: usize) -> Self {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(uuid::Uuid::from_u128(7)) };
        let context = ContextId::new("context").expect("a valid name");
        let places = vec![Seq::START; readers];
        let task = Arc::new((key, context));
        Self { topic: Topic::new(Seq::START), task, places, last: Seq::START }
    }

    /// Publishes one event and lets every reader take its bytes; gives how many they are, all together.
    pub fn publish(&mut self, text: &str) -> usize {
        self.last = self.last.next();
        self.topic.fill(vec![entry(self.last, text)], self.last);
        let mut taken = 0;
        for place in &mut self.places {
            let Found::Entries(entries) = self.topic.after(*place) else { continue };
            *place = self.last;
            for entry in entries {
                let frame = Frame::shared(entry, Arc::clone(&self.task));
                taken += frame.written(Dialect::V1_0, write).map_or(0, |bytes| bytes.len());
            }
        }
        taken
    }
}

fn write(event: &StreamEvent) -> Option<Bytes> {
    to_vec(&Dialect::V1_0.view(ResultPayload::Event(event))).ok().map(Bytes::from)
}

fn entry(seq: Seq, text: &str) -> LogEntry {
    let id = ArtifactId::new("a").expect("a valid name");
    let update = ArtifactUpdate {
        artifact: Artifact::new(id, vec![Part::text(text.to_owned())]),
        append: true,
        last_chunk: false,
        metadata: None,
    };
    let body = EntryBody::Artifact(update);
    LogEntry { seq, at: Timestamp::UNIX_EPOCH, attempt: 1, body }
}
