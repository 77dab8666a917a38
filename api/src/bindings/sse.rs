//! Server-sent events: a stream of frames as the body of a response (A2A 9.4.2).
//!
//! The event id is the cursor. Keep-alives are comments and consume no id. The reader sets the pace: nothing is made before
//! what came before was taken, and what is ready by then goes out together. Nobody can keep a stream without reading it: on
//! HTTP/1.1 a connection that takes nothing ends, and its stream with it; on HTTP/2, where one stream of many may be
//! neglected, frames are made by a task of their own that gives up.

use super::pieces::{Envelope, Pieces};
use crate::service::EventStream;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Version, header},
    response::Response,
};
use futures::stream;
use longhaul_runtime::spawn;
use std::{convert::Infallible, time::Duration};
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

/// How long a reader may take for one piece of the stream before it counts as dead.
pub(super) const STALLED: Duration = Duration::from_secs(60);

/// Who notices that a stream is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neglect {
    /// The connection, which carries nothing else.
    EndsConnection,
    /// Nobody but the stream itself.
    EndsStream,
}

impl Neglect {
    /// With this version of HTTP.
    pub const fn on(http: Version) -> Self {
        match http {
            Version::HTTP_2 => Self::EndsStream,
            _ => Self::EndsConnection,
        }
    }
}

/// A response that streams frames until they end.
pub fn response(
    frames: EventStream,
    keep_alive: Duration,
    envelope: Envelope,
    neglect: Neglect,
) -> Response {
    let pieces = Pieces::new(frames, keep_alive, envelope);
    let body = match neglect {
        Neglect::EndsConnection => direct(pieces),
        Neglect::EndsStream => watched(pieces),
    };
    of_events(body)
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
fn direct(pieces: Pieces) -> Body {
    let span = Span::current();
    Body::from_stream(stream::unfold(pieces, move |mut pieces| {
        async move {
            let piece = pieces.next().await?;
            Some((Ok::<_, Infallible>(piece), pieces))
        }
        .instrument(span.clone())
    }))
}

/// Pieces are made by a task of their own, one ahead.
fn watched(pieces: Pieces) -> Body {
    let (reader, taken) = mpsc::channel(1);
    spawn("stream", pump(pieces, reader));
    Body::from_stream(stream::unfold(taken, |mut taken| async {
        let piece = taken.recv().await?;
        Some((Ok::<_, Infallible>(piece), taken))
    }))
}

/// Hands pieces to the reader until they end, or the reader is gone or does not take them.
async fn pump(mut pieces: Pieces, reader: mpsc::Sender<Bytes>) {
    loop {
        let piece = tokio::select! {
            biased;
            () = reader.closed() => return,
            piece = pieces.next() => piece,
        };
        let Some(piece) = piece else { return };
        if reader.send_timeout(piece, STALLED).await.is_err() {
            return;
        }
    }
}
