//! Idle timeout of HTTP/2 connections; hyper has one for HTTP/1.1 only.
//!
//! Keep-alive probes do not replace it: a client may answer them for ever and send no request.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The open streams of an HTTP/2 connection.
#[derive(Debug, Default)]
pub struct OpenStreams {
    open: AtomicUsize,
    /// Time at which the last stream ended.
    ended: Mutex<Option<Instant>>,
    first: Notify,
}

/// An open stream, until it is dropped.
#[derive(Debug)]
pub struct OpenStream<'a>(&'a OpenStreams);

impl OpenStreams {
    /// Counts a stream as open until the guard is dropped.
    pub fn begin(&self) -> OpenStream<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.first.notify_one();
        OpenStream(self)
    }

    /// Returns once there was a stream and then none for `timeout`.
    pub async fn until_idle(&self, timeout: Duration) {
        self.first.notified().await;
        let mut until = Instant::now() + timeout;
        loop {
            sleep_until(until).await;
            let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            // Read after `ended`: a stream that began in between counts as open.
            let open = self.open.load(Ordering::Relaxed) > 0;
            until = match ended {
                Some(ended) if !open && ended.elapsed() >= timeout => return,
                Some(ended) if !open => ended + timeout,
                _ => Instant::now() + timeout,
            };
        }
    }
}

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{sleep, timeout};

    const TIMEOUT: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_its_last_stream_ended_long_ago() {
        let streams = OpenStreams::default();
        assert!(
            timeout(TIMEOUT * 10, streams.until_idle(TIMEOUT)).await.is_err(),
            "there was none yet"
        );
        let begun = Instant::now();
        let use_it = async {
            let long = streams.begin();
            sleep(TIMEOUT * 3).await;
            drop(streams.begin());
            drop(long);
            sleep(TIMEOUT / 2).await;
            drop(streams.begin());
        };
        let idle = async {
            streams.until_idle(TIMEOUT).await;
            begun.elapsed()
        };
        let ((), idle) = tokio::join!(use_it, idle);
        assert_eq!(idle.as_secs(), (TIMEOUT * 9 / 2).as_secs());
    }
}
