//! Reading of request bodies, bounded in size, in time, and in the number of large ones at a time.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use futures::{Stream, StreamExt};
use longhaul_wire::ProtocolError;
use std::{pin::pin, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// Time in which a body must arrive, and bytes that extend it by a second each time they arrive.
const BODY_BASE_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_BYTES_PER_SECOND: u32 = 32 << 10;

/// Bytes of a too large body that are read and discarded, and time for doing so.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Size above which a body counts as large, and memory for all large ones together, in bytes.
const MIN_LARGE_BYTES: usize = 256 << 10;
const LARGE_BODY_BUDGET_BYTES: usize = 512 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// `Retry-After` while too many large bodies are being read.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A body was not read.
#[derive(Debug)]
pub enum BodyError {
    /// The body is larger than allowed.
    TooLarge,
    /// The body arrived too slowly.
    TooSlow,
    /// Too many large bodies are being read.
    Busy,
    /// The body is compressed.
    Compressed,
    /// The connection broke, or the framing is invalid.
    Broken(axum::Error),
}

impl BodyError {
    /// The client's error, and its HTTP status if that is more precise than the error's own.
    pub fn refusal(self, limit: usize) -> (ProtocolError, Option<StatusCode>) {
        match self {
            Self::TooLarge => (ProtocolError::TooLarge { limit: limit as u64 }, None),
            Self::TooSlow => {
                let why = "the body came too slowly; send it faster, or large files by URL";
                let error = ProtocolError::InvalidRequest(why.to_owned());
                (error, Some(StatusCode::REQUEST_TIMEOUT))
            }
            Self::Busy => (ProtocolError::Unavailable { retry_after: BUSY_RETRY_AFTER }, None),
            Self::Compressed => {
                let why = "bodies with a Content-Encoding are not read; send it as it is";
                let error = ProtocolError::InvalidRequest(why.to_owned());
                (error, Some(StatusCode::UNSUPPORTED_MEDIA_TYPE))
            }
            Self::Broken(error) => {
                tracing::debug!(%error, "request body broke off");
                let why = "the body broke off; send it again";
                (ProtocolError::InvalidRequest(why.to_owned()), Some(StatusCode::BAD_REQUEST))
            }
        }
    }
}

/// Reads the bodies of a node's requests.
pub struct BodyReader {
    limit: usize,
    large: Semaphore,
}

impl BodyReader {
    /// A reader for bodies of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            large: Semaphore::new((LARGE_BODY_BUDGET_BYTES / limit.max(1)).clamp(4, 2_048)),
        }
    }

    /// Largest body, in bytes.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Reads an uncompressed body.
    pub async fn read_plain(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, BodyError> {
        let encoding = headers.get(header::CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(BodyError::Compressed);
        }
        self.read(body).await.map(strip_byte_order_mark)
    }

    /// Reads a body as it is.
    pub async fn read(&self, body: Body) -> Result<Bytes, BodyError> {
        let begun = Instant::now();
        let mut chunks = pin!(body.into_data_stream());
        let mut read: Vec<u8> = Vec::new();
        let mut permit = None;
        loop {
            let received = u32::try_from(read.len()).unwrap_or(u32::MAX);
            // Every byte received extends the deadline: a slow line is no attack, a silent one may be.
            let deadline = begun
                + BODY_BASE_TIMEOUT
                + Duration::from_secs(1) * (received / MIN_BYTES_PER_SECOND);
            let chunk = match timeout_at(deadline, chunks.next()).await {
                Ok(Some(chunk)) => chunk.map_err(BodyError::Broken)?,
                Ok(None) => return Ok(read.into()),
                Err(_) => return Err(BodyError::TooSlow),
            };
            let size = read.len().saturating_add(chunk.len());
            if size > self.limit {
                // Freed before the rest is read away.
                drop((read, permit));
                discard(chunks).await;
                return Err(BodyError::TooLarge);
            }
            if size > MIN_LARGE_BYTES && permit.is_none() {
                let free = timeout_at(deadline, self.large.acquire()).await;
                permit = Some(free.map_err(|_| BodyError::Busy)?);
            }
            read.extend_from_slice(&chunk);
        }
    }
}

/// Strips a byte order mark, which some clients put in front of JSON and a reader may ignore (RFC
/// 8259, 8.1).
pub fn strip_byte_order_mark(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body }
}

/// Reads on for a while and discards the bytes. If the connection were closed at once, a client
/// that still writes would see a reset instead of the response.
async fn discard(mut chunks: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin) {
    let deadline = Instant::now() + DISCARD_TIMEOUT;
    let mut remaining = MAX_DISCARDED_BYTES;
    while let Ok(Some(Ok(chunk))) = timeout_at(deadline, chunks.next()).await {
        remaining = remaining.saturating_sub(chunk.len());
        if remaining == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::{
        convert::Infallible,
        io,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        let bodies = BodyReader::new(10);
        assert_eq!(bodies.read(Body::from("0123456789")).await.unwrap(), "0123456789");
        let unread = bodies.read(Body::from("0123456789a")).await;
        assert!(matches!(unread, Err(BodyError::TooLarge)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_writing_too_much_is_read_for_a_while() {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let endless = stream::repeat_with(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from(vec![0; 1 << 20]))
        });
        let unread = BodyReader::new(10).read(Body::from_stream(endless)).await;
        assert!(matches!(unread, Err(BodyError::TooLarge)));
        assert_eq!(taken.load(Ordering::Relaxed), 65, "the first megabyte, and 64 that follow");
    }

    #[tokio::test]
    async fn a_broken_body_is_not_reported_as_too_large() {
        let chunks = [Ok(Bytes::from_static(b"{")), Err(io::Error::other("reset"))];
        let unread = BodyReader::new(10).read(Body::from_stream(stream::iter(chunks))).await;
        assert!(matches!(unread, Err(BodyError::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_times_out() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
        });
        let begun = Instant::now();
        let unread = BodyReader::new(10 << 20).read(Body::from_stream(drops)).await;
        assert!(matches!(unread, Err(BodyError::TooSlow)));
        assert_eq!(begun.elapsed(), BODY_BASE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_on_a_slow_line_is_read() {
        let chunks = stream::iter(0..30).then(|_| async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok::<_, Infallible>(Bytes::from(vec![0; 256 << 10]))
        });
        let read = BodyReader::new(10 << 20).read(Body::from_stream(chunks)).await.unwrap();
        assert_eq!(read.len(), 30 * (256 << 10));
    }
}
