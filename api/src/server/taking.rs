//! How much of an answer its reader has taken. On HTTP/2, where a connection carries many answers, a reader may neglect one
//! and take the others: who makes an answer has to know of its own bytes.

use axum::body::Bytes;
use futures::task::AtomicWaker;
use hyper::body::Buf;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};
use tokio::time::Instant;

/// So many bytes may be given to the connection before the reader has taken any.
pub const AHEAD: usize = 16 << 10;

/// The bytes of one answer that were given to the connection, and what became of them.
#[derive(Debug)]
pub struct Taking {
    begun: Instant,
    /// Given and not yet taken.
    waiting: AtomicUsize,
    /// When the last byte was taken, or the first given, in milliseconds since it began.
    moved: AtomicU64,
    /// Who wants to give more.
    giver: AtomicWaker,
}

impl Taking {
    /// Of an answer that begins now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            waiting: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            giver: AtomicWaker::new(),
        })
    }

    /// Bytes that wait to be taken.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Since when nothing was taken of what waits. `None`: nothing waits.
    pub fn neglected_since(&self) -> Option<Instant> {
        let moved = Duration::from_millis(self.moved.load(Ordering::Acquire));
        (self.waiting() > 0).then(|| self.begun + moved)
    }

    /// Wakes when no more than [`AHEAD`] wait, and when nothing does.
    pub fn wake(&self, giver: &Waker) {
        self.giver.register(giver);
    }

    fn given(&self, bytes: usize) {
        if self.waiting.fetch_add(bytes, Ordering::AcqRel) == 0 {
            self.moves();
        }
    }

    fn taken(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.moves();
        let waited = self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        let waits = waited.saturating_sub(bytes);
        if waits == 0 || (waits <= AHEAD && waited > AHEAD) {
            self.giver.wake();
        }
    }

    fn moves(&self) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(since, Ordering::Release);
    }
}

/// Bytes on their way to the reader.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    /// `None` where the connection carries nothing else, and is watched itself.
    taking: Option<Arc<Taking>>,
}

impl Piece {
    /// Gives bytes to the connection.
    pub fn new(bytes: Bytes, taking: Option<&Arc<Taking>>) -> Self {
        if let Some(taking) = taking {
            taking.given(bytes.len());
        }
        Self { bytes, taking: taking.cloned() }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(taking) = &self.taking {
            taking.taken(count);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(taking) = &self.taking {
            taking.taken(self.bytes.len());
        }
    }
}
