//! One frame of a stream: made for one client, or shared by all that follow the task.

use crate::hub::{EncodingSlot, SharedEntry};
use axum::body::Bytes;
use longhaul_domain::{ContextId, Seq, TaskKey};
use longhaul_wire::StreamEvent;
use std::{borrow::Cow, sync::Arc};

/// The task and its context, which every event names.
pub type EventTask = (TaskKey, ContextId);

/// An event with its cursor.
#[derive(Debug)]
pub struct EventFrame {
    /// Place in the log, which a client sends back as `Last-Event-ID`.
    pub cursor: Seq,
    event: FrameEvent,
}

#[derive(Debug)]
enum FrameEvent {
    /// An event of this stream alone: a snapshot, a direct reply, or one with large contents.
    Owned(Box<StreamEvent>),
    /// A log entry as it is.
    Shared(Arc<SharedEntry>, Arc<EventTask>),
}

impl EventFrame {
    /// A frame of one stream alone.
    pub fn owned(cursor: Seq, event: StreamEvent) -> Self {
        Self { cursor, event: FrameEvent::Owned(Box::new(event)) }
    }

    /// A frame shared by all that follow the task.
    pub fn shared(entry: Arc<SharedEntry>, task: Arc<EventTask>) -> Self {
        Self { cursor: entry.seq, event: FrameEvent::Shared(entry, task) }
    }

    /// The encoded event, made by `encode` unless another stream has made it before. `None` when it
    /// cannot be encoded.
    pub fn encoded(
        &self,
        slot: EncodingSlot,
        encode: impl FnOnce(&StreamEvent) -> Option<Bytes>,
    ) -> Option<Bytes> {
        match &self.event {
            FrameEvent::Owned(event) => encode(event),
            FrameEvent::Shared(entry, task) => entry.encoded(slot, || {
                StreamEvent::from_entry(task.0, &task.1, entry).as_ref().and_then(encode)
            }),
        }
    }

    /// The event; `None` for entries that are not shown, of which there are no frames.
    pub fn event(&self) -> Option<Cow<'_, StreamEvent>> {
        match &self.event {
            FrameEvent::Owned(event) => Some(Cow::Borrowed(event)),
            FrameEvent::Shared(entry, task) => {
                StreamEvent::from_entry(task.0, &task.1, entry).map(Cow::Owned)
            }
        }
    }
}
