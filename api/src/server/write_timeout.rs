//! Write timeouts: a client that takes nothing of a response for a while loses it.
//!
//! On HTTP/1.1 the connection ends ([`WriteTimeoutStream`]): it carries one response at a time. On
//! HTTP/2 the response alone is reset ([`WriteTimeoutExecutor`]), and with it goes what it holds:
//! memory, response budget, its slot on the connection. A response that was wholly handed to the
//! connection can no longer be reset alone; if the client does not take it, the connection ends
//! ([`PendingResponses`]). That concerns less than
//! [`MAX_BYTES_AHEAD`](super::tracked_body::MAX_BYTES_AHEAD) bytes of each response.

use super::{idle_timeout::OpenStreams, tracked_body::BodyProgress};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, Sleep, sleep, sleep_until},
};

tokio::task_local! {
    static PROGRESS: Arc<BodyProgress>;
}

/// Responses that a connection may have pending before those already taken are pruned.
const PRUNE_THRESHOLD: usize = 128;

/// The read progress of the response that the current task makes; `None` on HTTP/1.1.
pub fn current_progress() -> Option<Arc<BodyProgress>> {
    PROGRESS.try_with(Arc::clone).ok()
}

/// Responses that were wholly handed to one HTTP/2 connection and may not have been taken.
#[derive(Debug, Default)]
pub struct PendingResponses {
    responses: Mutex<Vec<Arc<BodyProgress>>>,
    /// Rung when the first response becomes pending.
    added: Notify,
}

impl PendingResponses {
    fn add(&self, progress: Arc<BodyProgress>) {
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        if responses.len() >= PRUNE_THRESHOLD {
            responses.retain(|response| response.unread() > 0);
        }
        if responses.is_empty() {
            self.added.notify_one();
        }
        responses.push(progress);
    }

    /// Start of the longest stall among the pending responses.
    fn oldest_stall(&self) -> Option<Instant> {
        let mut responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        responses.retain(|response| response.unread() > 0);
        responses.iter().filter_map(|response| response.stalled_since()).min()
    }

    /// Returns once nothing of some pending response was taken for `timeout`.
    pub async fn until_timed_out(&self, timeout: Duration) {
        loop {
            // Without pending responses nothing can time out.
            self.added.notified().await;
            sleep(timeout).await;
            while let Some(oldest) = self.oldest_stall() {
                if oldest.elapsed() >= timeout {
                    return;
                }
                sleep_until(oldest + timeout).await;
            }
        }
    }
}

/// Runs the streams of an HTTP/2 connection and resets those whose response is not taken.
#[derive(Debug, Clone)]
pub struct WriteTimeoutExecutor {
    pub pending: Arc<PendingResponses>,
    pub open_streams: Arc<OpenStreams>,
    /// Longest time in which a client takes no byte of a response.
    pub timeout: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for WriteTimeoutExecutor {
    fn execute(&self, stream: F) {
        TokioExecutor::new().execute(self.clone().run(stream));
    }
}

impl WriteTimeoutExecutor {
    /// Runs a stream; drops it, which resets it, when its response is not taken in time.
    async fn run(self, stream: impl Future<Output = ()>) {
        let _open = self.open_streams.begin();
        let progress = BodyProgress::new();
        let mut stream = pin!(PROGRESS.scope(Arc::clone(&progress), stream));
        // Created on the first stall: most responses are taken before a timer is needed.
        let mut timer = None;
        let ended = poll_fn(|context| match stream.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => self.poll_timeout(&progress, &mut timer, context).map(|()| false),
        });
        if !ended.await {
            tracing::debug!("response reset: write timeout");
        } else if progress.unread() > 0 {
            // All bytes are with the connection, so this stream can no longer be reset alone.
            self.pending.add(progress);
        }
    }

    /// Ready once nothing was taken for the timeout.
    fn poll_timeout(
        &self,
        progress: &BodyProgress,
        timer: &mut Option<Pin<Box<Sleep>>>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let sleeping = match timer {
                Some(sleeping) => sleeping,
                None => match progress.stalled_since() {
                    None => return Poll::Pending,
                    Some(since) => timer.insert(Box::pin(sleep_until(since + self.timeout))),
                },
            };
            if sleeping.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            *timer = None;
            // The client may have read since the timer was set.
            if progress.stalled_since().is_some_and(|since| since.elapsed() >= self.timeout) {
                return Poll::Ready(());
            }
        }
    }
}

/// A stream whose writes fail with `TimedOut` when the peer takes nothing for the write timeout.
pub struct WriteTimeoutStream<S> {
    inner: S,
    timeout: Duration,
    /// Running while a write is pending.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeoutStream<S> {
    /// Wraps a stream.
    pub const fn new(inner: S, timeout: Duration) -> Self {
        Self { inner, timeout, timer: None }
    }

    fn with_timeout(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeoutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.with_timeout(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.with_timeout(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tracked_body::TrackedBytes, *};
    use axum::body::Bytes;
    use hyper::body::Buf;
    use std::future::pending;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        sync::oneshot,
        time::timeout,
    };

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn executor() -> WriteTimeoutExecutor {
        WriteTimeoutExecutor {
            pending: Arc::default(),
            open_streams: Arc::default(),
            timeout: TIMEOUT,
        }
    }

    /// Bytes of the response that the current task makes.
    fn response_bytes() -> TrackedBytes {
        TrackedBytes::new(Bytes::from_static(&[0; 100]), current_progress().as_ref())
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_not_read_is_reset() {
        let begun = Instant::now();
        let stream = async {
            sleep(TIMEOUT * 5).await;
            let _bytes = response_bytes();
            pending::<()>().await;
        };
        executor().run(stream).await;
        assert_eq!(
            begun.elapsed().as_secs(),
            TIMEOUT.as_secs() * 6,
            "the time before the first byte does not count"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_read_slowly_is_kept() {
        let begun = Instant::now();
        let stream = async {
            let mut bytes = response_bytes();
            for _ in 0..10 {
                sleep(TIMEOUT * 9 / 10).await;
                bytes.advance(1);
            }
            pending::<()>().await;
        };
        executor().run(stream).await;
        assert_eq!(begun.elapsed().as_secs(), TIMEOUT.as_secs() * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_was_read_may_pause_for_ever() {
        let stream = async {
            drop(response_bytes());
            pending::<()>().await;
        };
        let ended = timeout(TIMEOUT * 100, executor().run(stream)).await;
        assert!(ended.is_err(), "it must not be reset");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_pending_response_ends_the_connection() {
        let executor = executor();
        let (hand, bytes) = oneshot::channel();
        let stream = async move {
            let _ = hand.send(response_bytes());
        };
        executor.clone().run(stream).await;
        let mut bytes = bytes.await.unwrap();
        let begun = Instant::now();
        let taken = async {
            sleep(TIMEOUT / 2).await;
            bytes.advance(1);
        };
        tokio::join!(executor.pending.until_timed_out(TIMEOUT), taken);
        assert_eq!(begun.elapsed().as_secs(), TIMEOUT.as_secs() * 3 / 2);
        drop(bytes);
        let ended = timeout(TIMEOUT * 100, executor.pending.until_timed_out(TIMEOUT)).await;
        assert!(ended.is_err(), "nothing is pending");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_the_peer_does_not_read_times_out() {
        let (stream, _peer) = duplex(10);
        let mut stream = WriteTimeoutStream::new(stream, TIMEOUT);
        let begun = Instant::now();
        let error = stream.write_all(&[0; 11]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_is_waited_for() {
        let (stream, mut peer) = duplex(10);
        let mut stream = WriteTimeoutStream::new(stream, TIMEOUT);
        let reads = async {
            let mut read = 0;
            while read < 100 {
                tokio::time::sleep(TIMEOUT * 9 / 10).await;
                read += peer.read(&mut [0; 10]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 100]), reads);
        written.unwrap();
    }
}
