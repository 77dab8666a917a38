//! Server-sent events: a stream of frames as the body of a response (A2A 9.4.2).
//!
//! The event id is the cursor. Keep-alives are comments and consume no id. The reader sets the pace: nothing is made before
//! what came before was taken, and what is ready by then goes out together. Nobody can keep a stream without reading it: the
//! server ends answers of which nothing is taken, on HTTP/1.1 with their connection and on HTTP/2 alone.

use super::pieces::{Envelope, Pieces};
use crate::service::EventStream;
use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use futures::stream;
use std::{convert::Infallible, time::Duration};
use tracing::{Instrument, Span};

/// A response that streams frames until they end.
pub fn response(frames: EventStream, keep_alive: Duration, envelope: Envelope) -> Response {
    of_events(body(Pieces::new(frames, keep_alive, envelope)))
}

/// A response whose body is events.
pub fn of_events(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Pieces are made when the connection takes them.
fn body(pieces: Pieces) -> Body {
    let span = Span::current();
    Body::from_stream(stream::unfold(pieces, move |mut pieces| {
        async move {
            let piece = pieces.next().await?;
            Some((Ok::<_, Infallible>(piece), pieces))
        }
        .instrument(span.clone())
    }))
}
