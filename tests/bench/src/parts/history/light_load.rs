//! A light load of sends during the reads.

use super::reads::ReadResult;
use crate::http::{EchoMessage, HttpConnection, answer::check_echo};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// Time between two sends, which makes twenty per second.
const SEND_INTERVAL: Duration = Duration::from_millis(50);

/// First message number; no other load of this run uses these.
const FIRST_NUMBER: u64 = 5_000_000_000;

/// A light load in the background.
pub struct LightLoad {
    stopped: Arc<AtomicBool>,
    sends: JoinHandle<ReadResult>,
}

impl LightLoad {
    /// Starts the load.
    pub fn start(base: &str) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let sends = tokio::spawn(send(base.to_owned(), Arc::clone(&stopped)));
        Self { stopped, sends }
    }

    /// Stops the load. Panics when an answer was wrong.
    pub async fn stop(self) -> ReadResult {
        self.stopped.store(true, Ordering::Relaxed);
        self.sends.await.expect("a send met a wrong answer")
    }
}

async fn send(base: String, stopped: Arc<AtomicBool>) -> ReadResult {
    let mut connection = HttpConnection::open(&base).await.expect("the node answers");
    let mut message = EchoMessage::echo();
    let mut result = ReadResult::default();
    let mut ticks = interval(SEND_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = FIRST_NUMBER;
    while !stopped.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let started = Instant::now();
        let answer = connection.post("/", message.body(number)).await.expect("the node answers");
        check_echo(&answer, number).expect("the answer is right");
        result.add(started.elapsed(), answer.body.len());
    }
    result.latencies.sort_unstable();
    result
}
