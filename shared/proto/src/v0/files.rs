//! File encoding of responses: raw bytes, or base64 text as some clients expect; see
//! [`FileEncoding`].

use crate::pb::v0::{
    Artifact, Message, Part, SendMessageResponse, StreamResponse, Task, file_part::File,
    part::Part as Held, send_message_response, stream_response,
};
use bytes::Bytes;
use longhaul_wire::v0::FileEncoding;

/// Response that may hold files.
pub trait EncodeFiles: Sized {
    /// Visits every part.
    fn each_part(&mut self, see: &mut impl FnMut(&mut Part));

    /// Encodes the files as the client expects them.
    #[must_use]
    fn encode_files(mut self, files: FileEncoding) -> Self {
        // Messages hold raw bytes, which is one layer in their JSON form.
        if files != FileEncoding::Once {
            self.each_part(&mut |part| write(part, files));
        }
        self
    }
}

fn write(part: &mut Part, files: FileEncoding) {
    if let Some(Held::File(held)) = &mut part.part
        && let Some(File::FileWithBytes(content)) = &mut held.file
    {
        *content = Bytes::from(files.encode(content).into_owned());
    }
}

impl EncodeFiles for Message {
    fn each_part(&mut self, see: &mut impl FnMut(&mut Part)) {
        self.content.iter_mut().for_each(see);
    }
}

impl EncodeFiles for Artifact {
    fn each_part(&mut self, see: &mut impl FnMut(&mut Part)) {
        self.parts.iter_mut().for_each(see);
    }
}

impl EncodeFiles for Task {
    fn each_part(&mut self, see: &mut impl FnMut(&mut Part)) {
        let messages = self.status.iter_mut().filter_map(|status| status.update.as_mut());
        messages.chain(&mut self.history).for_each(|message| message.each_part(see));
        self.artifacts.iter_mut().for_each(|artifact| artifact.each_part(see));
    }
}

impl EncodeFiles for SendMessageResponse {
    fn each_part(&mut self, see: &mut impl FnMut(&mut Part)) {
        use send_message_response::Payload;
        match &mut self.payload {
            Some(Payload::Task(task)) => task.each_part(see),
            Some(Payload::Msg(message)) => message.each_part(see),
            None => {}
        }
    }
}

impl EncodeFiles for StreamResponse {
    fn each_part(&mut self, see: &mut impl FnMut(&mut Part)) {
        use stream_response::Payload;
        match &mut self.payload {
            Some(Payload::Task(task)) => task.each_part(see),
            Some(Payload::Msg(message)) => message.each_part(see),
            Some(Payload::StatusUpdate(event)) => {
                let messages = event.status.iter_mut().filter_map(|status| status.update.as_mut());
                messages.for_each(|message| message.each_part(see));
            }
            Some(Payload::ArtifactUpdate(event)) => {
                event.artifact.iter_mut().for_each(|artifact| artifact.each_part(see));
            }
            None => {}
        }
    }
}
