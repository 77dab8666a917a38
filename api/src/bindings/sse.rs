//! Server-sent events: a stream of frames as the body of a response (A2A 9.4.2).
//!
//! The event id is the cursor. Keep-alives are comments and consume no id. The reader sets the pace: nothing is made
//! before it is asked for.

use crate::service::{EventStream, Frame};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures::stream;
use std::{convert::Infallible, time::Duration};

/// How a frame becomes the data of an event: one line.
pub type WriteFrame = Box<dyn Fn(&Frame) -> Option<Vec<u8>> + Send>;

/// A response that streams frames until they end.
pub fn response(frames: EventStream, keep_alive: Duration, write: WriteFrame) -> Response {
    let events = stream::unfold(Some((frames, write)), move |state| async move {
        let (mut frames, write) = state?;
        tokio::select! {
            biased;
            frame = frames.next() => {
                let bytes = event(&frame?, &write)?;
                Some((Ok::<_, Infallible>(bytes), Some((frames, write))))
            }
            () = tokio::time::sleep(keep_alive) => {
                Some((Ok(Bytes::from_static(b": keep-alive\n\n")), Some((frames, write))))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
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
