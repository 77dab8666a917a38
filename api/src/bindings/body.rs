//! Reads the body of a request: no larger than allowed, no slower than anybody needs, and only so many large ones at once.

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

/// How long a body may take, and for how many bytes it may take a second more.
const PATIENCE: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND: u32 = 32 << 10;

/// How much of a body that is too large is read and thrown away, and for how long.
const DISCARDED: usize = 64 << 20;
const DISCARDING: Duration = Duration::from_secs(5);

/// A body above this many bytes is a large one, and all large ones together may take this much.
const LARGE: usize = 256 << 10;
const LARGE_BYTES: usize = 512 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// When to come back while too many large bodies are being read.
const BUSY: Duration = Duration::from_secs(5);

/// Why a body was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is larger than allowed.
    TooLarge,
    /// It came too slowly.
    TooSlow,
    /// Too many large ones are being read.
    Busy,
    /// It is compressed.
    Packed,
    /// The connection broke, or what came is not a body.
    Broken(axum::Error),
}

impl Unread {
    /// What the client hears: the error, and the status of HTTP where that of the error says less.
    pub fn refusal(self, limit: usize) -> (ProtocolError, Option<StatusCode>) {
        match self {
            Self::TooLarge => (ProtocolError::TooLarge { limit: limit as u64 }, None),
            Self::TooSlow => {
                let why = "the body came too slowly; send it faster, or large files by URL";
                let error = ProtocolError::InvalidRequest(why.to_owned());
                (error, Some(StatusCode::REQUEST_TIMEOUT))
            }
            Self::Busy => (ProtocolError::Unavailable { retry_after: BUSY }, None),
            Self::Packed => {
                let why = "bodies with a Content-Encoding are not read; send it as it is";
                let error = ProtocolError::InvalidRequest(why.to_owned());
                (error, Some(StatusCode::UNSUPPORTED_MEDIA_TYPE))
            }
            Self::Broken(error) => {
                tracing::debug!(%error, "a body broke off");
                let why = "the body broke off; send it again";
                (ProtocolError::InvalidRequest(why.to_owned()), Some(StatusCode::BAD_REQUEST))
            }
        }
    }
}

/// How bodies are read on this node.
pub struct Bodies {
    limit: usize,
    large: Semaphore,
}

impl Bodies {
    /// Bodies of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, large: Semaphore::new((LARGE_BYTES / limit.max(1)).clamp(4, 2_048)) }
    }

    /// Largest body in bytes.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Reads one that these headers came with.
    pub async fn read_plain(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Unread> {
        let packed = headers.get(header::CONTENT_ENCODING);
        if packed.is_some_and(|packed| !packed.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Unread::Packed);
        }
        self.read(body).await.map(without_mark)
    }

    /// Reads one.
    pub async fn read(&self, body: Body) -> Result<Bytes, Unread> {
        let begun = Instant::now();
        let mut pieces = pin!(body.into_data_stream());
        let mut read: Vec<u8> = Vec::new();
        let mut place = None;
        loop {
            let received = u32::try_from(read.len()).unwrap_or(u32::MAX);
            let deadline =
                begun + PATIENCE + Duration::from_secs(1) * (received / BYTES_PER_SECOND);
            let piece = match timeout_at(deadline, pieces.next()).await {
                Ok(Some(piece)) => piece.map_err(Unread::Broken)?,
                Ok(None) => return Ok(read.into()),
                Err(_) => return Err(Unread::TooSlow),
            };
            let size = read.len().saturating_add(piece.len());
            if size > self.limit {
                drop((read, place));
                discard(pieces).await;
                return Err(Unread::TooLarge);
            }
            if size > LARGE && place.is_none() {
                let free = timeout_at(deadline, self.large.acquire()).await;
                place = Some(free.map_err(|_| Unread::Busy)?);
            }
            read.extend_from_slice(&piece);
        }
    }
}

/// JSON without the byte order mark that some clients put in front of it; a reader may ignore it (RFC 8259, 8.1).
pub fn without_mark(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body }
}

/// Reads on for a while and keeps nothing: a client that still writes when the connection is closed would see that its line
/// broke, and never the answer that says why.
async fn discard(mut pieces: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin) {
    let deadline = Instant::now() + DISCARDING;
    let mut room = DISCARDED;
    while let Ok(Some(Ok(piece))) = timeout_at(deadline, pieces.next()).await {
        room = room.saturating_sub(piece.len());
        if room == 0 {
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
    async fn a_body_comes_whole_up_to_its_limit() {
        let bodies = Bodies::new(10);
        assert_eq!(bodies.read(Body::from("0123456789")).await.unwrap(), "0123456789");
        let unread = bodies.read(Body::from("0123456789a")).await;
        assert!(matches!(unread, Err(Unread::TooLarge)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_on_writing_too_much_is_heard_out_for_a_while() {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let endless = stream::repeat_with(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from(vec![0; 1 << 20]))
        });
        let unread = Bodies::new(10).read(Body::from_stream(endless)).await;
        assert!(matches!(unread, Err(Unread::TooLarge)));
        assert_eq!(taken.load(Ordering::Relaxed), 65, "the first megabyte, and 64 that follow");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_called_too_large() {
        let pieces = [Ok(Bytes::from_static(b"{")), Err(io::Error::other("reset"))];
        let unread = Bodies::new(10).read(Body::from_stream(stream::iter(pieces))).await;
        assert!(matches!(unread, Err(Unread::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_byte_by_byte_is_given_up() {
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
        });
        let begun = Instant::now();
        let unread = Bodies::new(10 << 20).read(Body::from_stream(drops)).await;
        assert!(matches!(unread, Err(Unread::TooSlow)));
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_on_a_slow_line_is_waited_for() {
        let pieces = stream::iter(0..30).then(|_| async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok::<_, Infallible>(Bytes::from(vec![0; 256 << 10]))
        });
        let read = Bodies::new(10 << 20).read(Body::from_stream(pieces)).await.unwrap();
        assert_eq!(read.len(), 30 * (256 << 10));
    }
}
