//! Frame encoder of one stream, for dialects in which a frame depends on earlier ones.
//!
//! 0.1 has no snapshots: one is sent as its artifacts, each whole, and then the status. It
//! identifies artifacts by index ([`ArtifactIndexes`]). A stream that starts with a snapshot knows
//! all of them; one that resumes from a cursor must learn of earlier artifacts
//! ([`FrameEncoder::skip_artifacts`]), or a new artifact would reuse an old index. Folding the
//! frames of any stream yields the final snapshot, except for history, which streams of 0.1 never
//! carry.

use super::{FileEncoding, LegacyForm, WriteContext, event::LegacyFrame};
use crate::{
    event::{ArtifactEvent, StreamEvent},
    v1::V1,
};
use longhaul_domain::{ArtifactId, ArtifactUpdate};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, collections::BTreeMap};

/// Artifact indexes of one task, in order of first appearance, as in its snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactIndexes(BTreeMap<ArtifactId, usize>);

impl ArtifactIndexes {
    /// Index of an artifact; a new artifact gets the next one.
    pub fn index_of(&mut self, id: &ArtifactId) -> usize {
        if let Some(index) = self.0.get(id) {
            return *index;
        }
        let next = self.0.len();
        self.0.insert(id.clone(), next);
        next
    }
}

/// Encodes the events of one stream.
#[derive(Debug, Clone)]
pub struct FrameEncoder {
    form: Option<LegacyForm>,
    client_task_id: Option<String>,
    files: FileEncoding,
    artifacts: ArtifactIndexes,
}

impl FrameEncoder {
    /// Creates the encoder of a stream. `client_task_id` replaces the task id if the client chose
    /// one.
    pub const fn new(form: Option<LegacyForm>, client_task_id: Option<String>) -> Self {
        Self {
            form,
            client_task_id,
            files: FileEncoding::Once,
            artifacts: ArtifactIndexes(BTreeMap::new()),
        }
    }

    /// Sets the file encoding that the client expects.
    #[must_use]
    pub fn with_file_encoding(self, files: FileEncoding) -> Self {
        Self { files, ..self }
    }

    /// Starts after artifacts that the client already has.
    pub fn skip_artifacts(&mut self, known: ArtifactIndexes) {
        self.artifacts = known;
    }

    /// Encodes the next event as one frame; in 0.1 a snapshot becomes a frame per artifact and one
    /// for its status. Only the last frame may carry the event id: a client that has it has the
    /// whole event.
    pub fn encode<'a>(&'a mut self, event: &'a StreamEvent) -> Vec<EncodedFrame<'a>> {
        // Every other dialect sends one frame per event.
        if self.form != Some(LegacyForm::V0_1) {
            return vec![EncodedFrame { frames: self, event: Cow::Borrowed(event), index: 0 }];
        }
        let mut expanded: Vec<(Cow<'a, StreamEvent>, usize)> = Vec::new();
        if let StreamEvent::Task(task) = event {
            for artifact in &task.artifacts {
                let update = ArtifactUpdate::complete(artifact.clone());
                let (task, context) = (task.key.task, task.context.clone());
                let index = self.artifacts.index_of(&artifact.artifact_id);
                let event = StreamEvent::Artifact(ArtifactEvent { task, context, update });
                expanded.push((Cow::Owned(event), index));
            }
        }
        let index = match event {
            StreamEvent::Artifact(event) => {
                self.artifacts.index_of(&event.update.artifact.artifact_id)
            }
            StreamEvent::Task(_) | StreamEvent::Message(_) | StreamEvent::Status(_) => 0,
        };
        // The status comes last, since it may end the stream.
        expanded.push((Cow::Borrowed(event), index));
        let frames: &'a Self = self;
        expanded.into_iter().map(|(event, index)| EncodedFrame { frames, event, index }).collect()
    }
}

/// Frame that serializes in its dialect.
#[derive(Debug, Clone)]
pub struct EncodedFrame<'a> {
    frames: &'a FrameEncoder,
    event: Cow<'a, StreamEvent>,
    index: usize,
}

impl Serialize for EncodedFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event.as_ref();
        let Some(form) = self.frames.form else { return V1(event).serialize(serializer) };
        let frames = self.frames;
        let cx = WriteContext {
            form,
            client_task_id: frames.client_task_id.as_deref(),
            files: frames.files,
        };
        LegacyFrame { cx, event, cursor: None, index: self.index }.serialize(serializer)
    }
}
