//! Server-sent events: a stream of frames as the body of a response (A2A 9.4.2).
//!
//! The event id is the cursor. Keep-alives are comments and consume no id. The reader sets the pace: no more than a frame
//! is made before the one before was taken. Frames are made by a task of their own, so that a reader that does not read
//! keeps neither its subscription nor a drain: the stream ends without it.

use crate::service::{EventStream, Frame};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures::stream;
use longhaul_runtime::spawn;
use std::{convert::Infallible, pin::pin, time::Duration};
use tokio::sync::mpsc;

/// How long a reader may take for one piece of the stream before it counts as dead.
const STALLED: Duration = Duration::from_secs(60);

/// Largest piece in bytes: a slow reader that reads takes one in time.
const PIECE: usize = 64 << 10;

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// How a frame becomes the data of an event: one line.
pub type WriteFrame = Box<dyn Fn(&Frame) -> Option<Vec<u8>> + Send>;

/// A response that streams frames until they end.
pub fn response(frames: EventStream, keep_alive: Duration, write: WriteFrame) -> Response {
    let (reader, pieces) = mpsc::channel(1);
    spawn("stream", pump(frames, reader, keep_alive, write));
    let body = stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), pieces))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Hands frames to the reader until they end, or the reader does not take them.
async fn pump(
    mut frames: EventStream,
    reader: mpsc::Sender<Bytes>,
    keep_alive: Duration,
    write: WriteFrame,
) {
    while let Some(frame) = next(&mut frames, &reader, keep_alive).await {
        let Some(mut event) = event(&frame, &write) else { return };
        drop(frame);
        while !event.is_empty() {
            if !hand_over(&reader, event.split_to(event.len().min(PIECE))).await {
                return;
            }
        }
    }
}

/// The next frame; `None` at the end, and when the reader is gone or takes nothing.
async fn next(
    frames: &mut EventStream,
    reader: &mpsc::Sender<Bytes>,
    keep_alive: Duration,
) -> Option<Frame> {
    let mut next = pin!(frames.next());
    loop {
        tokio::select! {
            biased;
            () = reader.closed() => return None,
            frame = &mut next => return frame,
            () = tokio::time::sleep(keep_alive) => {
                if !hand_over(reader, KEEP_ALIVE).await {
                    return None;
                }
            }
        }
    }
}

/// Whether the reader took a piece, or rather the one before it.
async fn hand_over(reader: &mpsc::Sender<Bytes>, piece: Bytes) -> bool {
    reader.send_timeout(piece, STALLED).await.is_ok()
}

/// One event; none when the frame cannot be written, which ends the stream.
fn event(frame: &Frame, write: &WriteFrame) -> Option<Bytes> {
    let data = write(frame)?;
    let mut bytes = Vec::with_capacity(data.len() + 32);
    bytes.extend_from_slice(format!("id: {}\ndata: ", frame.cursor).as_bytes());
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\n\n");
    Some(bytes.into())
}
