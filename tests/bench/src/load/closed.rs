//! The closed loop: each connection sends, waits for the finished task, checks it, and sends again.
//!
//! Connections stay open and busy from the warm-up to the end. So the loop measures a steady state:
//! the tasks that end between the two readings.

use super::ids::{self, next_number};
use crate::{
    http::{
        EchoMessage, HttpConnection,
        answer::{TaskIdBits, check_echo},
    },
    stack::BenchStack,
    usage::{StackUsage, UsageReading},
};
use futures::future::join_all;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// Longest wait for the last answers of a load.
pub(super) const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A closed loop.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop {
    /// Number of connections; each always has a request in flight.
    pub connections: usize,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub measured: Duration,
    /// Time after the measurement in which notifications are counted. Listening has a cost, so it
    /// is kept out of the measurement.
    pub notification_time: Duration,
}

/// Result of a closed loop.
#[derive(Debug, Clone)]
pub struct ClosedLoopResult {
    /// Sorted latencies of the tasks that ended in the measured time.
    pub latencies: Vec<Duration>,
    /// Usage of the stack in the measured time.
    pub usage: StackUsage,
    /// Number of all tasks, including those before and after the measurement.
    pub all: usize,
    /// Notifications per task.
    pub notified: Option<f64>,
}

impl ClosedLoopResult {
    /// Tasks per second.
    pub fn rate(&self) -> f64 {
        crate::stats::count(self.latencies.len()) / self.usage.wall.as_secs_f64()
    }
}

/// Phases of the loop.
const WARM_UP: u8 = 0;
const MEASURING: u8 = 1;
const LISTENING: u8 = 2;
const FINISHED: u8 = 3;

/// Result of one connection.
#[derive(Default)]
struct ConnectionResult {
    latencies: Vec<Duration>,
    ids: Vec<TaskIdBits>,
    while_listening: usize,
}

impl ClosedLoop {
    /// Runs the loop. Panics when an answer is wrong.
    pub async fn run(self, stack: &BenchStack) -> ClosedLoopResult {
        let phase = Arc::new(AtomicU8::new(WARM_UP));
        let loops = stack
            .node_urls(self.connections)
            .into_iter()
            .map(|base| tokio::spawn(connection(base, Arc::clone(&phase))));
        let loops: Vec<_> = loops.collect();
        sleep(self.warm_up).await;
        let before = UsageReading::take(stack).await;
        phase.store(MEASURING, Ordering::Relaxed);
        sleep(self.measured).await;
        phase.store(LISTENING, Ordering::Relaxed);
        let usage = UsageReading::take(stack).await.since(&before);
        let notified = self.count_notifications(stack).await;
        phase.store(FINISHED, Ordering::Relaxed);
        let done = timeout(LAST_ANSWER_TIMEOUT, join_all(loops))
            .await
            .expect("answers have stopped coming");
        let done: Vec<ConnectionResult> =
            done.into_iter().map(|one| one.expect("a connection met a wrong answer")).collect();
        let while_listening: usize = done.iter().map(|one| one.while_listening).sum();
        let all = done.iter().map(|one| one.ids.len()).sum();
        let mut latencies = Vec::with_capacity(all);
        for one in done {
            latencies.extend(one.latencies);
            ids::record(one.ids);
        }
        latencies.sort_unstable();
        let notified =
            notified.map(|notified| notified / crate::stats::count(while_listening.max(1)));
        ClosedLoopResult { latencies, usage, all, notified }
    }

    /// Counts notifications for [`notification_time`](Self::notification_time).
    async fn count_notifications(self, stack: &BenchStack) -> Option<f64> {
        let probe = stack.probe.as_ref().filter(|_| !self.notification_time.is_zero())?;
        let before = probe.notified();
        probe.listen().await;
        sleep(self.notification_time).await;
        probe.unlisten().await;
        Some(crate::stats::counted(probe.notified() - before))
    }
}

/// Sends, waits and checks in a loop, on one connection.
async fn connection(base: String, phase: Arc<AtomicU8>) -> ConnectionResult {
    let mut connection = HttpConnection::open(&base).await.expect("the server takes connections");
    let mut message = EchoMessage::echo();
    let mut done = ConnectionResult::default();
    loop {
        let number = next_number();
        let body = message.body(number);
        let begun = Instant::now();
        let answer = connection.post("/", body).await.expect("the server answers");
        let latency = begun.elapsed();
        done.ids.push(check_echo(&answer, number).expect("the answer is right"));
        match phase.load(Ordering::Relaxed) {
            WARM_UP => {}
            MEASURING => done.latencies.push(latency),
            LISTENING => done.while_listening += 1,
            _ => return done,
        }
    }
}
