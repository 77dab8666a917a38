//! The open loop: arrivals at a fixed rate, whether answers come or not.
//!
//! Latency counts from when a request was meant to start. When all connections are busy, the next arrival starts late and its
//! wait counts too, as it would for the user who waits.

use super::{END_LIMIT, addresses, ids, next_number};
use crate::{
    http::{
        Answer, Connection, Failure, Message,
        answer::{Id, echoed},
    },
    meter::{Reading, Usage},
    stack::Stack,
    stats::{count, counted},
};
use futures::future::join_all;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};

/// A start that is late by more than this is counted. Timers go off up to a millisecond late.
const LATE: Duration = Duration::from_millis(5);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    /// Arrivals a second.
    pub rate: f64,
    /// So many requests can be under way; more start late.
    pub connections: usize,
    /// Not measured.
    pub warm_up: Duration,
    /// Measured.
    pub measured: Duration,
}

/// What came of the arrivals that were meant to start in the measured time.
#[derive(Debug, Clone)]
pub struct Open {
    /// Of those served, sorted.
    pub latencies: Vec<Duration>,
    /// Of those turned away with 429, sorted.
    pub refusals: Vec<Duration>,
    /// Of the latter, those without `Retry-After`.
    pub hintless: usize,
    /// Answered in another way or not at all.
    pub errors: usize,
    /// The first of them.
    pub error: Option<String>,
    /// Started later than meant, by more than five milliseconds.
    pub late: usize,
    /// Tasks that ended in the measured time, a second.
    pub goodput: f64,
    /// What the stack used in the measured time.
    pub usage: Usage,
}

impl OpenLoop {
    /// Runs it; panics when an answer is wrong.
    pub async fn run(self, stack: &Stack) -> Open {
        let arrivals = Arc::new(Arrivals::new(self));
        let connections = addresses(stack, self.connections)
            .into_iter()
            .map(|base| tokio::spawn(connection(base, Arc::clone(&arrivals))));
        let connections: Vec<_> = connections.collect();
        sleep_until(arrivals.from).await;
        let begun = Reading::take(stack).await;
        sleep_until(arrivals.until).await;
        let usage = Reading::take(stack).await.since(&begun);
        let done = timeout(END_LIMIT, join_all(connections)).await.expect("answers stopped coming");
        let mut all = Done::default();
        for one in done {
            all.add(one.expect("a connection met a wrong answer"));
        }
        all.latencies.sort_unstable();
        all.refusals.sort_unstable();
        ids::note(all.ids);
        Open {
            latencies: all.latencies,
            refusals: all.refusals,
            hintless: all.hintless,
            errors: all.errors,
            error: all.error,
            late: all.late,
            goodput: count(all.ended) / self.measured.as_secs_f64(),
            usage,
        }
    }
}

/// When each request is meant to start.
struct Arrivals {
    next: AtomicU64,
    rate: f64,
    begun: Instant,
    from: Instant,
    until: Instant,
}

impl Arrivals {
    fn new(settings: OpenLoop) -> Self {
        // Time to connect.
        let begun = Instant::now() + Duration::from_millis(300);
        let from = begun + settings.warm_up;
        let until = from + settings.measured;
        Self { next: AtomicU64::new(0), rate: settings.rate.max(0.1), begun, from, until }
    }

    fn take(&self) -> Option<Instant> {
        let position = self.next.fetch_add(1, Ordering::Relaxed);
        let start = self.begun + Duration::from_secs_f64(counted(position) / self.rate);
        (start < self.until).then_some(start)
    }
}

/// What one connection did.
#[derive(Default)]
struct Done {
    latencies: Vec<Duration>,
    refusals: Vec<Duration>,
    ids: Vec<Id>,
    hintless: usize,
    errors: usize,
    error: Option<String>,
    late: usize,
    ended: usize,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.refusals.extend(other.refusals);
        self.ids.extend(other.ids);
        self.hintless += other.hintless;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
        self.late += other.late;
        self.ended += other.ended;
    }

    fn fail(&mut self, measured: bool, why: String) {
        self.errors += usize::from(measured);
        self.error.get_or_insert(why);
    }
}

async fn connection(base: String, arrivals: Arc<Arrivals>) -> Done {
    let mut done = Done::default();
    let mut message = Message::echo();
    let mut connection = Connection::open(&base).await.ok();
    while let Some(meant) = arrivals.take() {
        sleep_until(meant).await;
        let measured = meant >= arrivals.from;
        done.late += usize::from(measured && meant.elapsed() > LATE);
        let number = next_number();
        match send(&mut connection, &base, &mut message, number).await {
            Ok(answer) => note(&mut done, &answer, number, meant, &arrivals),
            Err(failure) => {
                connection = None;
                done.fail(measured, failure.to_string());
            }
        }
    }
    done
}

async fn send(
    connection: &mut Option<Connection>,
    base: &str,
    message: &mut Message,
    number: u64,
) -> Result<Answer, Failure> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(base).await?),
    };
    connection.post("/", message.body(number)).await
}

fn note(done: &mut Done, answer: &Answer, number: u64, meant: Instant, arrivals: &Arrivals) {
    let now = Instant::now();
    let measured = meant >= arrivals.from;
    match answer.status.as_u16() {
        200 => {
            done.ids.push(echoed(answer, number).expect("the answer is right"));
            done.ended += usize::from(now >= arrivals.from && now < arrivals.until);
            if measured {
                done.latencies.push(now - meant);
            }
        }
        429 if measured => {
            done.refusals.push(now - meant);
            done.hintless += usize::from(!answer.headers.contains_key("retry-after"));
        }
        429 => {}
        status => done.fail(measured, format!("{status}: {}", answer.text())),
    }
}
