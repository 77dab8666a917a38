//! The sends that go on while others read.

use super::reads::Found;
use crate::http::{Connection, Message, answer::echoed};
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

/// Twenty a second, one after the other.
const EVERY: Duration = Duration::from_millis(50);

/// Numbers of messages that no other load of this run has.
const FIRST_NUMBER: u64 = 5_000_000_000;

/// A light load.
pub struct Light {
    over: Arc<AtomicBool>,
    sends: JoinHandle<Found>,
}

impl Light {
    /// Begins.
    pub fn start(base: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let sends = tokio::spawn(send(base.to_owned(), Arc::clone(&over)));
        Self { over, sends }
    }

    /// Ends; panics when an answer was wrong.
    pub async fn end(self) -> Found {
        self.over.store(true, Ordering::Relaxed);
        self.sends.await.expect("a send met a wrong answer")
    }
}

async fn send(base: String, over: Arc<AtomicBool>) -> Found {
    let mut connection = Connection::open(&base).await.expect("the node answers");
    let mut message = Message::echo();
    let mut found = Found::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = FIRST_NUMBER;
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let begun = Instant::now();
        let answer = connection.post("/", message.body(number)).await.expect("the node answers");
        echoed(&answer, number).expect("the answer is right");
        found.add(begun.elapsed(), answer.body.len());
    }
    found.latencies.sort_unstable();
    found
}
