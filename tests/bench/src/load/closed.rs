//! The closed loop: each connection sends, waits for the finished task, checks it, and sends again.
//!
//! Connections stay open and busy from the warm-up to the end, so that what is measured is a steady state: tasks that end
//! between the two readings.

use super::{END_LIMIT, addresses, ids, next_number};
use crate::{
    http::{
        Connection, Message,
        answer::{Id, echoed},
    },
    meter::{Reading, Usage},
    stack::Stack,
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

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop {
    /// So many requests are always under way.
    pub connections: usize,
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub measured: Duration,
    /// Afterwards, notifications are counted for so long: listening costs something, so it is not done before.
    pub listened: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Of the tasks that ended in the measured time, sorted.
    pub latencies: Vec<Duration>,
    /// What the stack used in the measured time.
    pub usage: Usage,
    /// All tasks, those of the warm-up and of the end too.
    pub all: usize,
    /// Notifications for each task.
    pub notified: Option<f64>,
}

impl Closed {
    /// Tasks a second.
    pub fn rate(&self) -> f64 {
        crate::stats::count(self.latencies.len()) / self.usage.wall.as_secs_f64()
    }
}

const WARM: u8 = 0;
const MEASURED: u8 = 1;
const LISTENED: u8 = 2;
const OVER: u8 = 3;

/// What one connection did.
#[derive(Default)]
struct Done {
    latencies: Vec<Duration>,
    ids: Vec<Id>,
    listened: usize,
}

impl ClosedLoop {
    /// Runs it; panics when an answer is wrong.
    pub async fn run(self, stack: &Stack) -> Closed {
        let phase = Arc::new(AtomicU8::new(WARM));
        let loops = addresses(stack, self.connections)
            .into_iter()
            .map(|base| tokio::spawn(connection(base, Arc::clone(&phase))));
        let loops: Vec<_> = loops.collect();
        sleep(self.warm_up).await;
        let begun = Reading::take(stack).await;
        phase.store(MEASURED, Ordering::Relaxed);
        sleep(self.measured).await;
        phase.store(LISTENED, Ordering::Relaxed);
        let usage = Reading::take(stack).await.since(&begun);
        let heard = self.listen(stack).await;
        phase.store(OVER, Ordering::Relaxed);
        let done = timeout(END_LIMIT, join_all(loops)).await.expect("answers have stopped coming");
        let done: Vec<Done> =
            done.into_iter().map(|one| one.expect("a connection met a wrong answer")).collect();
        let listened: usize = done.iter().map(|one| one.listened).sum();
        let all = done.iter().map(|one| one.ids.len()).sum();
        let mut latencies = Vec::with_capacity(all);
        for one in done {
            latencies.extend(one.latencies);
            ids::note(one.ids);
        }
        latencies.sort_unstable();
        let notified = heard.map(|heard| heard / crate::stats::count(listened.max(1)));
        Closed { latencies, usage, all, notified }
    }

    /// Counts notifications for a while.
    async fn listen(self, stack: &Stack) -> Option<f64> {
        let watch = stack.watch.as_ref().filter(|_| !self.listened.is_zero())?;
        let before = watch.notified();
        watch.listen().await;
        sleep(self.listened).await;
        watch.unlisten().await;
        Some(crate::stats::counted(watch.notified() - before))
    }
}

/// One connection: send, wait, check, again.
async fn connection(base: String, phase: Arc<AtomicU8>) -> Done {
    let mut connection = Connection::open(&base).await.expect("the server takes connections");
    let mut message = Message::echo();
    let mut done = Done::default();
    loop {
        let number = next_number();
        let body = message.body(number);
        let begun = Instant::now();
        let answer = connection.post("/", body).await.expect("the server answers");
        let latency = begun.elapsed();
        done.ids.push(echoed(&answer, number).expect("the answer is right"));
        match phase.load(Ordering::Relaxed) {
            WARM => {}
            MEASURED => done.latencies.push(latency),
            LISTENED => done.listened += 1,
            _ => return done,
        }
    }
}
