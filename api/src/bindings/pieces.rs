//! Frames as the bytes of server-sent events.
//!
//! Small events that are ready at the same time are one piece, so that many of them cost one write. Large ones are not
//! copied: their bytes are shared with every other stream of the task, however slowly each is read.

use crate::service::{EventStream, Frame};
use axum::body::Bytes;
use longhaul_domain::line::escape_line_separators;
use longhaul_wire::{
    Dialect, ResultPayload, StreamEvent, WireError,
    jsonrpc::{RpcId, result_envelope},
    v0::{FileEncoding, FrameEncoder},
    write::to_vec,
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// Largest piece in bytes: a slow reader that reads takes one in time.
const PIECE: usize = 64 << 10;

/// How much is put together at most, and up to which size an event is copied for that, in bytes.
const TOGETHER: usize = 16 << 10;
const SMALL: usize = 4 << 10;

/// A comment, and no blank line behind it: that one would end an event, and clients that know an id already make one of it
/// that is empty (httpx-sse, and with it the Python SDKs).
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n");

/// What each event of one stream is wrapped into, and how it is written.
pub struct Envelope {
    dialect: Dialect,
    before: Vec<u8>,
    after: &'static str,
    /// Where an event may be several frames, and depends on those before it.
    frames: Option<FrameEncoder>,
}

impl Envelope {
    /// That of the answer to a call. `chosen` is the id by which the client knows the task, where it chose that itself.
    pub fn new(dialect: Dialect, id: &RpcId, chosen: Option<String>) -> Self {
        let (before, after) = result_envelope(id);
        let before = escape_line_separators(before.into_bytes());
        let frames = (dialect == Dialect::V0_1).then(|| dialect.frames(chosen));
        Self { dialect, before, after, frames }
    }

    /// None: each event stands for itself. What is written for a client with ways of its own is not shared with others.
    pub fn bare(dialect: Dialect, files: FileEncoding) -> Self {
        let frames = (files != FileEncoding::Once).then(|| dialect.frames(None).files(files));
        Self { dialect, before: Vec::new(), after: "", frames }
    }

    fn write(&self, event: &StreamEvent) -> Option<Bytes> {
        line(&self.dialect.view(ResultPayload::Event(event))).map(Bytes::from)
    }
}

/// Writes what is the data of an event: one line, however the client splits lines.
fn line(value: &impl Serialize) -> Option<Vec<u8>> {
    to_vec(value).inspect_err(cannot_be_written).ok().map(escape_line_separators)
}

fn cannot_be_written(error: &WireError) {
    tracing::error!(%error, "an event cannot be written");
}

/// What one reader gets, piece by piece.
pub struct Pieces {
    frames: EventStream,
    envelope: Envelope,
    keep_alive: Duration,
    /// When the last piece was taken.
    last: Instant,
    /// Ends no earlier than a keep-alive is due.
    silence: Pin<Box<Sleep>>,
    /// Pieces that are made already.
    ready: VecDeque<Bytes>,
    /// An event cannot be written: what was made is the end.
    broken: bool,
}

impl Pieces {
    /// Those of a stream, with a comment whenever it was silent for so long.
    pub fn new(frames: EventStream, keep_alive: Duration, envelope: Envelope) -> Self {
        let (last, silence) = (Instant::now(), Box::pin(sleep(keep_alive)));
        let ready = VecDeque::new();
        Self { frames, envelope, keep_alive, last, silence, ready, broken: false }
    }

    /// The next piece; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            if self.broken {
                return None;
            }
            match self.frame().await {
                Some(frame) => self.make(&frame?),
                None => self.ready.push_back(KEEP_ALIVE),
            }
        }
        self.last = Instant::now();
        self.ready.pop_front()
    }

    /// The next frame or the end of the stream; nothing: there was silence for too long.
    async fn frame(&mut self) -> Option<Option<Frame>> {
        let mut next = pin!(self.frames.next());
        loop {
            tokio::select! {
                biased;
                frame = &mut next => return Some(frame),
                () = self.silence.as_mut() => {
                    let due = self.last + self.keep_alive;
                    if due <= Instant::now() {
                        self.silence.as_mut().reset(Instant::now() + self.keep_alive);
                        return None;
                    }
                    self.silence.as_mut().reset(due);
                }
            }
        }
    }

    /// Makes pieces of a frame and of what is ready behind it.
    fn make(&mut self, frame: &Frame) {
        let mut together = Vec::new();
        self.broken = self.add(frame, &mut together).is_none();
        while !self.broken && self.ready.is_empty() && together.len() < TOGETHER {
            let Some(frame) = self.frames.ready() else { break };
            self.broken = self.add(&frame, &mut together).is_none();
        }
        self.cut(together.into());
    }

    /// Adds the event of a frame to what goes out together; `None` where it cannot be written.
    fn add(&mut self, frame: &Frame, together: &mut Vec<u8>) -> Option<()> {
        if self.envelope.frames.is_some() {
            return self.add_several(frame, together);
        }
        let Envelope { dialect, before, after, .. } = &self.envelope;
        let result = frame.written(*dialect, |event| self.envelope.write(event))?;
        let around = before.len() + after.len() + 40;
        together.reserve(around + if result.len() <= SMALL { result.len() } else { 0 });
        together.extend_from_slice(format!("id: {}\ndata: ", frame.cursor).as_bytes());
        together.extend_from_slice(before);
        if result.len() <= SMALL {
            together.extend_from_slice(&result);
        } else {
            self.ready.push_back(std::mem::take(together).into());
            self.cut(result);
        }
        let after = self.envelope.after;
        together.extend_from_slice(after.as_bytes());
        together.extend_from_slice(b"\n\n");
        Some(())
    }

    /// Adds the frames of an event. Whoever has the last of them has the event, so only that one carries its id.
    fn add_several(&mut self, frame: &Frame, together: &mut Vec<u8>) -> Option<()> {
        let Envelope { before, after, frames, .. } = &mut self.envelope;
        let event = frame.event()?;
        let frames = frames.as_mut()?;
        if let Some(places) = self.frames.left_out() {
            frames.behind(places);
        }
        let views = frames.of(&event);
        let last = views.len() - 1;
        for (index, view) in views.iter().enumerate() {
            let written = line(view)?;
            if index == last {
                together.extend_from_slice(format!("id: {}\n", frame.cursor).as_bytes());
            }
            for bytes in [b"data: ", &before[..], &written, after.as_bytes(), b"\n\n"] {
                together.extend_from_slice(bytes);
            }
        }
        Some(())
    }

    /// Puts bytes last, in pieces that are not too large.
    fn cut(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.ready.push_back(piece);
        }
    }
}
