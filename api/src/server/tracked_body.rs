//! Response bodies that know how much of them the client has taken.
//!
//! An HTTP/2 connection carries many responses, and a client may read one and ignore the others.
//! Each body therefore counts its own unread bytes. A body gives the connection at most
//! [`MAX_BYTES_AHEAD`] beyond what the client has taken, and a body larger than that ends only once
//! all of it was taken: until then the write timeout can still reset it.

use super::request_slots::RequestSlot;
use axum::body::{Body, Bytes};
use futures::task::AtomicWaker;
use hyper::body::{Buf, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::time::Instant;

/// Bytes that a body may give to its connection before the client has taken any of them.
pub const MAX_BYTES_AHEAD: usize = 16 << 10;

/// Read progress of one response body.
#[derive(Debug)]
pub struct BodyProgress {
    created: Instant,
    /// Bytes given to the connection and not yet taken by the client.
    unread: AtomicUsize,
    /// Time of the last progress, in milliseconds since `created`: the last byte taken, or the
    /// first byte given.
    last_progress_ms: AtomicU64,
    /// Waker of the body, which waits to give more.
    producer: AtomicWaker,
}

impl BodyProgress {
    /// Progress of a body that has given nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            created: Instant::now(),
            unread: AtomicUsize::new(0),
            last_progress_ms: AtomicU64::new(0),
            producer: AtomicWaker::new(),
        })
    }

    /// Bytes that the client has not taken yet.
    pub fn unread(&self) -> usize {
        self.unread.load(Ordering::Acquire)
    }

    /// Time since which the client has taken nothing; `None` when nothing is unread.
    pub fn stalled_since(&self) -> Option<Instant> {
        let last = Duration::from_millis(self.last_progress_ms.load(Ordering::Acquire));
        (self.unread() > 0).then(|| self.created + last)
    }

    /// Registers the body to be woken when at most [`MAX_BYTES_AHEAD`] bytes are unread, and again
    /// when none are.
    fn register(&self, producer: &Waker) {
        self.producer.register(producer);
    }

    fn record_given(&self, bytes: usize) {
        if self.unread.fetch_add(bytes, Ordering::AcqRel) == 0 {
            self.touch();
        }
    }

    fn record_taken(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.touch();
        let before = self.unread.fetch_sub(bytes, Ordering::AcqRel);
        let after = before.saturating_sub(bytes);
        if after == 0 || (after <= MAX_BYTES_AHEAD && before > MAX_BYTES_AHEAD) {
            self.producer.wake();
        }
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_progress_ms.store(elapsed, Ordering::Release);
    }
}

/// Bytes of a body on their way to the client.
#[derive(Debug)]
pub struct TrackedBytes {
    bytes: Bytes,
    /// `None` on HTTP/1.1, where the connection carries one response and is timed itself.
    progress: Option<Arc<BodyProgress>>,
}

impl TrackedBytes {
    /// Counts the bytes as given to the connection.
    pub fn new(bytes: Bytes, progress: Option<&Arc<BodyProgress>>) -> Self {
        if let Some(progress) = progress {
            progress.record_given(bytes.len());
        }
        Self { bytes, progress: progress.cloned() }
    }
}

impl Buf for TrackedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.record_taken(count);
        }
    }
}

impl Drop for TrackedBytes {
    fn drop(&mut self) {
        // Bytes of a response that was reset count as taken: nothing of it is unread any longer.
        if let Some(progress) = &self.progress {
            progress.record_taken(self.bytes.len());
        }
    }
}

type PolledFrame = Option<Result<Frame<TrackedBytes>, axum::Error>>;

/// A response body whose read progress is tracked.
pub struct TrackedBody {
    inner: Body,
    progress: Option<Arc<BodyProgress>>,
    /// Slot of the request, held until the body is gone.
    _slot: Option<RequestSlot>,
    /// Bytes given to the connection so far.
    given: usize,
    /// Trailers or end of the body, held back until all bytes were taken.
    pending_end: Option<PolledFrame>,
}

impl TrackedBody {
    /// Wraps a body; without `progress` it is passed through.
    pub const fn new(
        inner: Body,
        progress: Option<Arc<BodyProgress>>,
        slot: Option<RequestSlot>,
    ) -> Self {
        Self { inner, progress, _slot: slot, given: 0, pending_end: None }
    }

    /// Tells whether more than `limit` bytes are unread. If so, the task is woken when that may
    /// have changed.
    fn must_wait(&self, limit: usize, context: &Context<'_>) -> bool {
        let Some(progress) = &self.progress else { return false };
        if progress.unread() <= limit {
            return false;
        }
        progress.register(context.waker());
        // The client may have read between the check and the registration.
        progress.unread() > limit
    }

    /// A small body ends together with its bytes. Ending a large one ahead of its reader would
    /// leave nothing to reset.
    const fn is_small(&self) -> bool {
        self.progress.is_none() || self.given <= MAX_BYTES_AHEAD
    }

    /// Ends the body now, or holds the end back until all bytes were taken.
    fn end(mut self: Pin<&mut Self>, end: PolledFrame, context: &Context<'_>) -> Poll<PolledFrame> {
        if self.is_small() || !self.must_wait(0, context) {
            return Poll::Ready(end);
        }
        // The waker is registered: the last byte taken polls again.
        self.pending_end = Some(end);
        Poll::Pending
    }
}

impl hyper::body::Body for TrackedBody {
    type Data = TrackedBytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<PolledFrame> {
        if self.pending_end.is_none() {
            if self.must_wait(MAX_BYTES_AHEAD, context) {
                return Poll::Pending;
            }
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return self.end(end.map(|end| end.map(|f| f.map_data(no_data))), context),
            };
            match frame.into_data() {
                Ok(bytes) => {
                    self.given = self.given.saturating_add(bytes.len());
                    let bytes = TrackedBytes::new(bytes, self.progress.as_ref());
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Err(trailers) => return self.end(Some(Ok(trailers.map_data(no_data))), context),
            }
        }
        let end = self.pending_end.take().flatten();
        self.end(end, context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_small() && self.pending_end.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Data type of frames that carry none.
fn no_data(_: Bytes) -> TrackedBytes {
    TrackedBytes::new(Bytes::new(), None)
}
