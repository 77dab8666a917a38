//! One frame of a stream: made for one client, or shared with all who follow the same task.

use crate::hub::Entry;
use axum::body::Bytes;
use longhaul_domain::{ContextId, Seq, TaskKey};
use longhaul_wire::{Dialect, StreamEvent};
use std::{borrow::Cow, sync::Arc};

/// A task and its conversation, which its events name.
pub type Place = (TaskKey, ContextId);

/// One frame: an event with its cursor.
#[derive(Debug)]
pub struct Frame {
    /// Place in the log; what a client sends as `Last-Event-ID`.
    pub cursor: Seq,
    event: Event,
}

#[derive(Debug)]
enum Event {
    /// Of this stream alone: a snapshot, a direct reply, an event with large contents.
    Own(Box<StreamEvent>),
    /// An entry of the log as it is.
    Shared(Arc<Entry>, Arc<Place>),
}

impl Frame {
    /// A frame of one stream alone.
    pub fn own(cursor: Seq, event: StreamEvent) -> Self {
        Self { cursor, event: Event::Own(Box::new(event)) }
    }

    /// A frame of everybody who follows this task.
    pub fn shared(entry: Arc<Entry>, place: Arc<Place>) -> Self {
        Self { cursor: entry.seq, event: Event::Shared(entry, place) }
    }

    /// The event as a dialect writes it, made by `write` unless another stream has made it before. None: it cannot be
    /// written.
    pub fn written(
        &self,
        dialect: Dialect,
        write: impl FnOnce(&StreamEvent) -> Option<Bytes>,
    ) -> Option<Bytes> {
        match &self.event {
            Event::Own(event) => write(event),
            Event::Shared(entry, place) => entry.written(dialect, || {
                StreamEvent::from_entry(place.0, &place.1, entry).as_ref().and_then(write)
            }),
        }
    }

    /// The event itself; none for what is not shown, of which there are no frames.
    pub fn event(&self) -> Option<Cow<'_, StreamEvent>> {
        match &self.event {
            Event::Own(event) => Some(Cow::Borrowed(event)),
            Event::Shared(entry, place) => {
                StreamEvent::from_entry(place.0, &place.1, entry).map(Cow::Owned)
            }
        }
    }
}
