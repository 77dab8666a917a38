//! HTTP/2 connections on which nothing goes on: they end as those of HTTP/1.1 do, whose own library looks after them. Asking a
//! client whether it lives is not enough: one may answer for ever and want nothing.

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

/// What goes on on an HTTP/2 connection.
#[derive(Debug, Default)]
pub struct Exchanges {
    open: AtomicUsize,
    /// When the last one ended.
    ended: Mutex<Option<Instant>>,
    first: Notify,
}

/// An exchange that goes on.
#[derive(Debug)]
pub struct Exchange<'a>(&'a Exchanges);

impl Exchanges {
    /// Notes that one begins; it goes on until what is given back is dropped.
    pub fn begin(&self) -> Exchange<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.first.notify_one();
        Exchange(self)
    }

    /// Returns when there was an exchange and then none for so long.
    pub async fn idle(&self, limit: Duration) {
        self.first.notified().await;
        let mut until = Instant::now() + limit;
        loop {
            sleep_until(until).await;
            let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let open = self.open.load(Ordering::Relaxed) > 0;
            until = match ended {
                Some(ended) if !open && ended.elapsed() >= limit => return,
                Some(ended) if !open => ended + limit,
                _ => Instant::now() + limit,
            };
        }
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{sleep, timeout};

    const LIMIT: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_its_last_exchange_ended_long_ago() {
        let exchanges = Exchanges::default();
        assert!(timeout(LIMIT * 10, exchanges.idle(LIMIT)).await.is_err(), "there was none yet");
        let begun = Instant::now();
        let use_it = async {
            let long = exchanges.begin();
            sleep(LIMIT * 3).await;
            drop(exchanges.begin());
            drop(long);
            sleep(LIMIT / 2).await;
            drop(exchanges.begin());
        };
        let idle = async {
            exchanges.idle(LIMIT).await;
            begun.elapsed()
        };
        let ((), idle) = tokio::join!(use_it, idle);
        assert_eq!(idle.as_secs(), (LIMIT * 9 / 2).as_secs());
    }
}
