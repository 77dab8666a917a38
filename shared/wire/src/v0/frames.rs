//! The frames of one stream, for a dialect in which an event is more than one frame or depends on those before it.
//!
//! 0.1 has no snapshots: one goes out as its artifacts, each whole, and then the status. And it knows artifacts by their
//! [`ArtifactIndexes`] among those of the task. A stream that begins with a snapshot has all of them; one that begins behind a cursor
//! must be told of those before it ([`FrameEncoder::behind`]), else it would call a new artifact by the place of an old one. So the
//! frames of any stream, folded into what its client has, give the snapshot of their end; what the snapshot had as history is
//! not in a stream of 0.1 at all.

use super::{Cx, FileEncoding, event::Frame};
use crate::{
    Dialect,
    event::{ArtifactEvent, StreamEvent},
    v1::V1,
};
use longhaul_domain::{ArtifactId, ArtifactUpdate};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, collections::BTreeMap};

/// The places of the artifacts of one task: in the order in which they first appear, as in its snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactIndexes(BTreeMap<ArtifactId, usize>);

impl ArtifactIndexes {
    /// The place of an artifact, the next one when it is new.
    pub fn of(&mut self, id: &ArtifactId) -> usize {
        if let Some(place) = self.0.get(id) {
            return *place;
        }
        let next = self.0.len();
        self.0.insert(id.clone(), next);
        next
    }
}

/// How the events of one stream go out.
#[derive(Debug, Clone)]
pub struct FrameEncoder {
    dialect: Dialect,
    shown: Option<String>,
    files: FileEncoding,
    artifacts: ArtifactIndexes,
}

impl FrameEncoder {
    /// The stream of a dialect. `shown` is the id by which the client knows the task, where it chose that itself.
    pub const fn new(dialect: Dialect, shown: Option<String>) -> Self {
        Self {
            dialect,
            shown,
            files: FileEncoding::Once,
            artifacts: ArtifactIndexes(BTreeMap::new()),
        }
    }

    /// With files as the client expects them.
    #[must_use]
    pub fn files(self, files: FileEncoding) -> Self {
        Self { files, ..self }
    }

    /// Begins behind artifacts that the client has already.
    pub fn behind(&mut self, places: ArtifactIndexes) {
        self.artifacts = places;
    }

    /// The frames of the next event: one, or in 0.1 one for each artifact of a snapshot and one for its status. A client
    /// that has the last of them has the event, so only that one may carry its id.
    pub fn of<'a>(&'a mut self, event: &'a StreamEvent) -> Vec<FrameView<'a>> {
        if self.dialect != Dialect::V0_1 {
            return vec![FrameView { frames: self, event: Cow::Borrowed(event), index: 0 }];
        }
        let mut expanded: Vec<(Cow<'a, StreamEvent>, usize)> = Vec::new();
        if let StreamEvent::Task(task) = event {
            for artifact in &task.artifacts {
                let update = ArtifactUpdate::whole(artifact.clone());
                let (task, context) = (task.key.task, task.context.clone());
                let index = self.artifacts.of(&artifact.artifact_id);
                let event = StreamEvent::Artifact(ArtifactEvent { task, context, update });
                expanded.push((Cow::Owned(event), index));
            }
        }
        let index = match event {
            StreamEvent::Artifact(event) => self.artifacts.of(&event.update.artifact.artifact_id),
            StreamEvent::Task(_) | StreamEvent::Message(_) | StreamEvent::Status(_) => 0,
        };
        expanded.push((Cow::Borrowed(event), index));
        let frames: &'a Self = self;
        expanded.into_iter().map(|(event, index)| FrameView { frames, event, index }).collect()
    }
}

/// One frame as its dialect writes it.
#[derive(Debug, Clone)]
pub struct FrameView<'a> {
    frames: &'a FrameEncoder,
    event: Cow<'a, StreamEvent>,
    index: usize,
}

impl Serialize for FrameView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event.as_ref();
        let Some(form) = self.frames.dialect.form() else { return V1(event).serialize(serializer) };
        let frames = self.frames;
        let cx = Cx { form, shown: frames.shown.as_deref(), files: frames.files };
        Frame { cx, event, cursor: None, index: self.index }.serialize(serializer)
    }
}
