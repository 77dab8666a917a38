//! The body of an answer as its connection gets it. On HTTP/2 little of it is given ahead of its reader, and a large one ends
//! only when all of it was taken: until then it can be given up.

use super::{
    slot::Slot,
    taking::{AHEAD, Piece, Taking},
};
use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

type Given = Option<Result<Frame<Piece>, axum::Error>>;

/// A body whose bytes are followed.
pub struct Guarded {
    inner: Body,
    taking: Option<Arc<Taking>>,
    /// The place of its request.
    _slot: Option<Slot>,
    /// Bytes that were given.
    given: usize,
    /// What comes when all was taken: trailers, or the end.
    last: Option<Given>,
}

impl Guarded {
    /// A body, followed where that is needed.
    pub const fn new(inner: Body, taking: Option<Arc<Taking>>, slot: Option<Slot>) -> Self {
        Self { inner, taking, _slot: slot, given: 0, last: None }
    }

    /// Whether more than this waits; who asks is woken when that may have changed.
    fn waits(&self, more_than: usize, context: &Context<'_>) -> bool {
        let Some(taking) = &self.taking else { return false };
        if taking.waiting() <= more_than {
            return false;
        }
        taking.wake(context.waker());
        taking.waiting() > more_than
    }

    /// A small answer ends with its bytes. Were the end of a large one given ahead, too, nobody could take it back.
    const fn is_small(&self) -> bool {
        self.taking.is_none() || self.given <= AHEAD
    }
}

impl hyper::body::Body for Guarded {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Given> {
        if self.last.is_none() {
            if self.waits(AHEAD, context) {
                return Poll::Pending;
            }
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return self.ends(other.map(|end| end.map(|f| f.map_data(none))), context),
            };
            match frame.into_data() {
                Ok(bytes) => {
                    self.given = self.given.saturating_add(bytes.len());
                    let piece = Piece::new(bytes, self.taking.as_ref());
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Err(frame) => return self.ends(Some(Ok(frame.map_data(none))), context),
            }
        }
        let last = self.last.take().flatten();
        self.ends(last, context)
    }

    fn is_end_stream(&self) -> bool {
        self.is_small() && self.last.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Guarded {
    /// The end, now or when it is time.
    fn ends(mut self: Pin<&mut Self>, end: Given, context: &Context<'_>) -> Poll<Given> {
        if self.is_small() || !self.waits(0, context) {
            return Poll::Ready(end);
        }
        self.last = Some(end);
        Poll::Pending
    }
}

/// For frames that have no bytes.
fn none(_: Bytes) -> Piece {
    Piece::new(Bytes::new(), None)
}
