//! Server-sent events: a stream of frames as the body of a response (A2A 9.4.2).
//!
//! The event id is the cursor; keep-alives are comments and consume no id. The reader sets the pace:
//! nothing is encoded before the last chunk was taken, and what is ready by then goes out together.
//! Small events are batched into one write. Large ones are not copied: their bytes are shared with
//! every other stream of the task, however slowly each is read. The server's write timeout ends
//! streams that are not read.

use crate::{
    hub::EncodingSlot,
    service::{EventFrame, EventStream},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures::stream;
use longhaul_domain::line_separators::escape_line_separators;
use longhaul_wire::{
    Dialect, ResultPayload, StreamEvent, WireError,
    jsonrpc::{RpcId, result_envelope},
    v0::{ArtifactIndexes, FileEncoding, FrameEncoder},
    write::to_vec,
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::{Pin, pin},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use tracing::{Instrument, Span};

/// Largest chunk, in bytes: small enough for a slow reader to take within the write timeout.
const MAX_CHUNK_BYTES: usize = 64 << 10;

/// Bytes at which a batch of small events goes out, and size up to which an event is copied into
/// one.
const MAX_BATCH_BYTES: usize = 16 << 10;
const MAX_COPIED_EVENT_BYTES: usize = 4 << 10;

/// A comment without a blank line, which would end an event: clients that know an id would make an
/// empty event of it (httpx-sse, and with it the Python SDKs).
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n");

/// Every dialect has a slot of its own.
const _: () = assert!(Dialect::ALL.len() <= EncodingSlot::COUNT);

/// The slot in which entries cache their encoding in a dialect.
const fn encoding_slot(dialect: Dialect) -> EncodingSlot {
    EncodingSlot::new(dialect as usize)
}

/// A response that streams frames until they end.
pub fn response(frames: EventStream, keep_alive: Duration, envelope: EventEnvelope) -> Response {
    event_response(body(SseEncoder::new(frames, keep_alive, envelope)))
}

/// A response with this body of events.
pub fn event_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Buffering proxies would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Encodes chunks when the connection takes them.
fn body(encoder: SseEncoder) -> Body {
    let span = Span::current();
    Body::from_stream(stream::unfold(encoder, move |mut encoder| {
        async move {
            let chunk = encoder.next().await?;
            Some((Ok::<_, Infallible>(chunk), encoder))
        }
        .instrument(span.clone())
    }))
}

/// Envelope around each event of one stream.
pub struct EventEnvelope {
    dialect: Dialect,
    before: Vec<u8>,
    after: &'static str,
    /// Stateful encoder, for dialects in which an event is several frames or depends on earlier ones.
    frames: Option<FrameEncoder>,
}

impl EventEnvelope {
    /// The envelope of a JSON-RPC response. `chosen` is the task id that the client chose, if it did.
    pub fn new(dialect: Dialect, id: &RpcId, chosen: Option<String>) -> Self {
        let (before, after) = result_envelope(id);
        let before = escape_line_separators(before.into_bytes());
        let frames = (dialect == Dialect::V0_1).then(|| dialect.frames(chosen));
        Self { dialect, before, after, frames }
    }

    /// No envelope. Events with the client's own file encoding are not shared with other streams.
    pub fn bare(dialect: Dialect, files: FileEncoding) -> Self {
        let frames =
            (files != FileEncoding::Once).then(|| dialect.frames(None).with_file_encoding(files));
        Self { dialect, before: Vec::new(), after: "", frames }
    }

    fn encode(&self, event: &StreamEvent) -> Option<Bytes> {
        line(&self.dialect.view(ResultPayload::Event(event))).map(Bytes::from)
    }
}

/// Encodes the data of an event: one line, however the client splits lines.
fn line(value: &impl Serialize) -> Option<Vec<u8>> {
    to_vec(value).inspect_err(log_encode_error).ok().map(escape_line_separators)
}

fn log_encode_error(error: &WireError) {
    tracing::error!(%error, "event encoding failed");
}

/// Encodes one stream as chunks of bytes.
pub struct SseEncoder {
    frames: EventStream,
    envelope: EventEnvelope,
    keep_alive: Duration,
    /// Time at which the last chunk was taken.
    last: Instant,
    /// Fires when a keep-alive is due, or earlier.
    silence: Pin<Box<Sleep>>,
    /// Encoded chunks.
    ready: VecDeque<Bytes>,
    /// True once an event could not be encoded: the encoded chunks are the last.
    failed: bool,
}

impl SseEncoder {
    /// Encodes a stream, with a comment after each silence of `keep_alive`.
    pub fn new(frames: EventStream, keep_alive: Duration, envelope: EventEnvelope) -> Self {
        let (last, silence) = (Instant::now(), Box::pin(sleep(keep_alive)));
        let ready = VecDeque::new();
        Self { frames, envelope, keep_alive, last, silence, ready, failed: false }
    }

    /// The next chunk; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            if self.failed {
                return None;
            }
            match self.frame().await {
                Some(frame) => self.encode_ready(&frame?),
                None => self.ready.push_back(KEEP_ALIVE),
            }
        }
        self.last = Instant::now();
        self.ready.pop_front()
    }

    /// The next frame or the end of the stream; `None` when a keep-alive is due.
    async fn frame(&mut self) -> Option<Option<EventFrame>> {
        let mut next = pin!(self.frames.next());
        loop {
            tokio::select! {
                biased;
                // First: a frame that is ready spares the keep-alive.
                frame = &mut next => return Some(frame),
                () = self.silence.as_mut() => {
                    let due = self.last + self.keep_alive;
                    // Otherwise a chunk was taken since the timer was set, and the timer moves.
                    if due <= Instant::now() {
                        self.silence.as_mut().reset(Instant::now() + self.keep_alive);
                        return None;
                    }
                    self.silence.as_mut().reset(due);
                }
            }
        }
    }

    /// Encodes a frame and the frames that are ready after it.
    fn encode_ready(&mut self, frame: &EventFrame) {
        let mut batch = Vec::new();
        self.failed = self.add(frame, &mut batch).is_none();
        while !self.failed && self.ready.is_empty() && batch.len() < MAX_BATCH_BYTES {
            let Some(frame) = self.frames.ready() else { break };
            self.failed = self.add(&frame, &mut batch).is_none();
        }
        self.push_chunks(batch.into());
    }

    /// Adds a frame's event to a batch; `None` when it cannot be encoded.
    fn add(&mut self, frame: &EventFrame, batch: &mut Vec<u8>) -> Option<()> {
        if self.envelope.frames.is_some() {
            return self.add_several(frame, batch);
        }
        let EventEnvelope { dialect, before, after, .. } = &self.envelope;
        let result = frame.encoded(encoding_slot(*dialect), |event| self.envelope.encode(event))?;
        let around = before.len() + after.len() + 40;
        // One allocation per event: id, envelope and data.
        batch.reserve(
            // A large event goes out as shared bytes between two parts of the batch.
            around + if result.len() <= MAX_COPIED_EVENT_BYTES { result.len() } else { 0 },
        );
        batch.extend_from_slice(format!("id: {}\ndata: ", frame.cursor).as_bytes());
        batch.extend_from_slice(before);
        if result.len() <= MAX_COPIED_EVENT_BYTES {
            batch.extend_from_slice(&result);
        } else {
            self.ready.push_back(std::mem::take(batch).into());
            self.push_chunks(result);
        }
        let after = self.envelope.after;
        batch.extend_from_slice(after.as_bytes());
        batch.extend_from_slice(b"\n\n");
        Some(())
    }

    /// Adds an event that is several frames. Only the last one carries the id: a client that has it
    /// has the event.
    fn add_several(&mut self, frame: &EventFrame, batch: &mut Vec<u8>) -> Option<()> {
        let EventEnvelope { before, after, frames, .. } = &mut self.envelope;
        let event = frame.event()?;
        let frames = frames.as_mut()?;
        let left_out = self.frames.take_left_out();
        if !left_out.is_empty() {
            let mut indexes = ArtifactIndexes::default();
            for artifact in &left_out {
                indexes.index_of(artifact);
            }
            frames.skip_artifacts(indexes);
        }
        let views = frames.encode(&event);
        let last = views.len() - 1;
        for (index, view) in views.iter().enumerate() {
            let written = line(view)?;
            if index == last {
                batch.extend_from_slice(format!("id: {}\n", frame.cursor).as_bytes());
            }
            for bytes in [b"data: ", &before[..], &written, after.as_bytes(), b"\n\n"] {
                batch.extend_from_slice(bytes);
            }
        }
        Some(())
    }

    /// Appends bytes in chunks of bounded size.
    fn push_chunks(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(MAX_CHUNK_BYTES));
            self.ready.push_back(chunk);
        }
    }
}
