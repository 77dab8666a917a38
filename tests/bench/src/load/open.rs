//! The open loop: arrivals at a fixed rate, independent of the answers.
//!
//! Latency counts from the planned start of a request. When all connections are busy, the next
//! arrival starts late and its wait counts too, as it would for a waiting user.

use super::{
    closed::LAST_ANSWER_TIMEOUT,
    ids::{self, next_number},
};
use crate::{
    http::{
        EchoMessage, HttpAnswer, HttpConnection, RequestError,
        answer::{TaskIdBits, check_echo},
    },
    stack::BenchStack,
    stats::{count, counted},
    usage::{StackUsage, UsageReading},
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

/// Delay from which a start counts as late. Timers fire up to a millisecond late.
const LATE_AFTER: Duration = Duration::from_millis(5);

/// An open loop.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    /// Arrivals per second.
    pub rate: f64,
    /// Most requests in flight; further ones start late.
    pub connections: usize,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub measured: Duration,
}

/// Result of the arrivals planned for the measured time.
#[derive(Debug, Clone)]
pub struct OpenLoopResult {
    /// Sorted latencies of served requests.
    pub latencies: Vec<Duration>,
    /// Sorted latencies of requests refused with 429.
    pub refusals: Vec<Duration>,
    /// Number of refusals without `Retry-After`.
    pub without_retry_after: usize,
    /// Number of requests with another answer, or none.
    pub errors: usize,
    /// The first error.
    pub error: Option<String>,
    /// Number of starts late by more than [`LATE_AFTER`].
    pub late: usize,
    /// Tasks ended per second of the measured time.
    pub goodput: f64,
    /// Usage of the stack in the measured time.
    pub usage: StackUsage,
}

impl OpenLoop {
    /// Runs the loop. Panics when an answer is wrong.
    pub async fn run(self, stack: &BenchStack) -> OpenLoopResult {
        let arrivals = Arc::new(Arrivals::new(self));
        let connections = stack
            .node_urls(self.connections)
            .into_iter()
            .map(|base| tokio::spawn(connection(base, Arc::clone(&arrivals))));
        let connections: Vec<_> = connections.collect();
        sleep_until(arrivals.from).await;
        let before = UsageReading::take(stack).await;
        sleep_until(arrivals.until).await;
        let usage = UsageReading::take(stack).await.since(&before);
        let done = timeout(LAST_ANSWER_TIMEOUT, join_all(connections))
            .await
            .expect("answers stopped coming");
        let mut all = ConnectionResult::default();
        for one in done {
            all.add(one.expect("a connection met a wrong answer"));
        }
        all.latencies.sort_unstable();
        all.refusals.sort_unstable();
        ids::record(all.ids);
        OpenLoopResult {
            latencies: all.latencies,
            refusals: all.refusals,
            without_retry_after: all.without_retry_after,
            errors: all.errors,
            error: all.error,
            late: all.late,
            goodput: count(all.ended) / self.measured.as_secs_f64(),
            usage,
        }
    }
}

/// The planned start of each request.
struct Arrivals {
    next: AtomicU64,
    rate: f64,
    start_at: Instant,
    from: Instant,
    until: Instant,
}

impl Arrivals {
    fn new(settings: OpenLoop) -> Self {
        // Leaves time to connect.
        let start_at = Instant::now() + Duration::from_millis(300);
        let from = start_at + settings.warm_up;
        let until = from + settings.measured;
        Self { next: AtomicU64::new(0), rate: settings.rate.max(0.1), start_at, from, until }
    }

    fn next(&self) -> Option<Instant> {
        let position = self.next.fetch_add(1, Ordering::Relaxed);
        let start = self.start_at + Duration::from_secs_f64(counted(position) / self.rate);
        (start < self.until).then_some(start)
    }
}

/// Result of one connection.
#[derive(Default)]
struct ConnectionResult {
    latencies: Vec<Duration>,
    refusals: Vec<Duration>,
    ids: Vec<TaskIdBits>,
    without_retry_after: usize,
    errors: usize,
    error: Option<String>,
    late: usize,
    ended: usize,
}

impl ConnectionResult {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.refusals.extend(other.refusals);
        self.ids.extend(other.ids);
        self.without_retry_after += other.without_retry_after;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
        self.late += other.late;
        self.ended += other.ended;
    }

    fn fail(&mut self, measured: bool, error: String) {
        self.errors += usize::from(measured);
        self.error.get_or_insert(error);
    }
}

async fn connection(base: String, arrivals: Arc<Arrivals>) -> ConnectionResult {
    let mut done = ConnectionResult::default();
    let mut message = EchoMessage::echo();
    let mut connection = HttpConnection::open(&base).await.ok();
    while let Some(planned) = arrivals.next() {
        sleep_until(planned).await;
        let measured = planned >= arrivals.from;
        done.late += usize::from(measured && planned.elapsed() > LATE_AFTER);
        let number = next_number();
        match send(&mut connection, &base, &mut message, number).await {
            Ok(answer) => record(&mut done, &answer, number, planned, &arrivals),
            Err(failure) => {
                connection = None;
                done.fail(measured, failure.to_string());
            }
        }
    }
    done
}

async fn send(
    connection: &mut Option<HttpConnection>,
    base: &str,
    message: &mut EchoMessage,
    number: u64,
) -> Result<HttpAnswer, RequestError> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(HttpConnection::open(base).await?),
    };
    connection.post("/", message.body(number)).await
}

fn record(
    done: &mut ConnectionResult,
    answer: &HttpAnswer,
    number: u64,
    planned: Instant,
    arrivals: &Arrivals,
) {
    let now = Instant::now();
    let measured = planned >= arrivals.from;
    match answer.status.as_u16() {
        200 => {
            done.ids.push(check_echo(answer, number).expect("the answer is right"));
            done.ended += usize::from(now >= arrivals.from && now < arrivals.until);
            if measured {
                done.latencies.push(now - planned);
            }
        }
        429 if measured => {
            done.refusals.push(now - planned);
            done.without_retry_after += usize::from(!answer.headers.contains_key("retry-after"));
        }
        429 => {}
        status => done.fail(measured, format!("{status}: {}", answer.text())),
    }
}
