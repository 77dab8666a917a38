//! Answers on HTTP/2 that are given up because their reader takes nothing of them. With the answer goes what it holds: memory,
//! room that others wait for, its place on the connection.
//!
//! One that is not wholly given to the connection is reset, alone. A small one that is, and is not taken, ends the connection:
//! its reader takes less than [`AHEAD`](super::taking::AHEAD) bytes in all that time.

use super::{idle::Exchanges, taking::Taking};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep, sleep_until},
};

tokio::task_local! {
    static TAKING: Arc<Taking>;
}

/// How many answers are left to a connection before those are looked for that were taken.
const MANY: usize = 128;

/// What is known of the answer that is made here. `None` on HTTP/1.1.
pub fn taking() -> Option<Arc<Taking>> {
    TAKING.try_with(Arc::clone).ok()
}

/// Answers that were wholly given to one connection, and may not have been taken.
#[derive(Debug, Default)]
pub struct Left {
    answers: Mutex<Vec<Arc<Taking>>>,
    some: Notify,
}

impl Left {
    fn leave(&self, taking: Arc<Taking>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MANY {
            answers.retain(|answer| answer.waiting() > 0);
        }
        if answers.is_empty() {
            self.some.notify_one();
        }
        answers.push(taking);
    }

    /// When the one that waits longest began to wait.
    fn oldest(&self) -> Option<Instant> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.waiting() > 0);
        answers.iter().filter_map(|answer| answer.neglected_since()).min()
    }

    /// Returns when nothing of an answer was taken for so long.
    pub async fn neglected(&self, limit: Duration) {
        loop {
            self.some.notified().await;
            sleep(limit).await;
            while let Some(oldest) = self.oldest() {
                if oldest.elapsed() >= limit {
                    return;
                }
                sleep_until(oldest + limit).await;
            }
        }
    }
}

/// Runs the requests of an HTTP/2 connection.
#[derive(Debug, Clone)]
pub struct Watching {
    pub left: Arc<Left>,
    pub exchanges: Arc<Exchanges>,
    /// Until a reader takes one more byte.
    pub limit: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Watching {
    fn execute(&self, exchange: F) {
        TokioExecutor::new().execute(self.clone().watch(exchange));
    }
}

impl Watching {
    /// Drops an exchange, which resets it, when nothing of its answer is taken for too long.
    async fn watch(self, exchange: impl Future<Output = ()>) {
        let _going_on = self.exchanges.begin();
        let taking = Taking::new();
        let mut exchange = pin!(TAKING.scope(Arc::clone(&taking), exchange));
        // Most answers are given and gone before anybody would look.
        let mut look = None;
        let ended = poll_fn(|context| match exchange.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => self.neglects(&taking, &mut look, context).map(|()| false),
        });
        if !ended.await {
            tracing::debug!("an answer was not taken and is given up");
        } else if taking.waiting() > 0 {
            self.left.leave(taking);
        }
    }

    /// Ready when nothing was taken for too long.
    fn neglects(
        &self,
        taking: &Taking,
        look: &mut Option<Pin<Box<Sleep>>>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let timer = match look {
                Some(timer) => timer,
                None => match taking.neglected_since() {
                    None => return Poll::Pending,
                    Some(since) => look.insert(Box::pin(sleep_until(since + self.limit))),
                },
            };
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            *look = None;
            if taking.neglected_since().is_some_and(|since| since.elapsed() >= self.limit) {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::taking::Piece, *};
    use axum::body::Bytes;
    use hyper::body::Buf;
    use std::future::pending;
    use tokio::{sync::oneshot, time::timeout};

    const LIMIT: Duration = Duration::from_secs(60);

    fn watching() -> Watching {
        Watching { left: Arc::default(), exchanges: Arc::default(), limit: LIMIT }
    }

    /// The bytes of the answer that is made here.
    fn given() -> Piece {
        Piece::new(Bytes::from_static(&[0; 100]), taking().as_ref())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_nothing_is_taken_is_given_up() {
        let begun = Instant::now();
        let exchange = async {
            sleep(LIMIT * 5).await;
            let _piece = given();
            pending::<()>().await;
        };
        watching().watch(exchange).await;
        assert_eq!(begun.elapsed().as_secs(), LIMIT.as_secs() * 6, "the time to make it is none");
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_keeps_it() {
        let begun = Instant::now();
        let exchange = async {
            let mut piece = given();
            for _ in 0..10 {
                sleep(LIMIT * 9 / 10).await;
                piece.advance(1);
            }
            pending::<()>().await;
        };
        watching().watch(exchange).await;
        assert_eq!(begun.elapsed().as_secs(), LIMIT.as_secs() * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_taken_may_wait_for_more_for_ever() {
        let exchange = async {
            drop(given());
            pending::<()>().await;
        };
        let ended = timeout(LIMIT * 100, watching().watch(exchange)).await;
        assert!(ended.is_err(), "it goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_to_the_connection_is_looked_after() {
        let watching = watching();
        let (hand, piece) = oneshot::channel();
        let exchange = async move {
            let _ = hand.send(given());
        };
        watching.clone().watch(exchange).await;
        let mut piece = piece.await.unwrap();
        let begun = Instant::now();
        let taken = async {
            sleep(LIMIT / 2).await;
            piece.advance(1);
        };
        tokio::join!(watching.left.neglected(LIMIT), taken);
        assert_eq!(begun.elapsed().as_secs(), LIMIT.as_secs() * 3 / 2);
        drop(piece);
        let ended = timeout(LIMIT * 100, watching.left.neglected(LIMIT)).await;
        assert!(ended.is_err(), "nothing is left");
    }
}
