//! Reading over HTTP, one request after the other on one connection.

use crate::http::{Connection, Failure, call_body};
use bytes::Bytes;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long one answer is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Most failures before a kind of request is given up.
const FAILURES: usize = 3;

/// Whether an answer is right; what is wrong otherwise.
pub type Check = Box<dyn Fn(&Value) -> Result<(), String>>;

/// One request.
pub struct Request {
    /// Where.
    pub path: &'static str,
    /// Which method: of `SubscribeToTask` the first event is the answer.
    pub method: &'static str,
    /// With what.
    pub params: Value,
    /// What its answer must be.
    pub check: Check,
}

/// Requests of one kind.
pub struct Asked {
    /// What they are.
    pub what: &'static str,
    /// In this order, from the beginning again when time is left.
    pub requests: Vec<Request>,
}

/// What came of them.
#[derive(Debug, Default)]
pub struct Found {
    /// Sorted.
    pub latencies: Vec<Duration>,
    /// Bytes of all answers.
    pub bytes: usize,
    /// Requests that were not answered as they should be.
    pub failed: usize,
    /// Why the first of them was not.
    pub failure: Option<String>,
}

impl Found {
    /// Notes a right answer.
    pub fn add(&mut self, latency: Duration, bytes: usize) {
        self.latencies.push(latency);
        self.bytes += bytes;
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.failure.get_or_insert(why);
    }
}

/// Sends requests of one kind for so long, each at least once.
pub async fn read(base: &str, asked: &Asked, measured: Duration) -> Found {
    let mut found = Found::default();
    let begun = Instant::now();
    for (number, request) in asked.requests.iter().cycle().enumerate() {
        let enough = number >= 3 && begun.elapsed() >= measured;
        if enough || found.failed >= FAILURES || number >= 2_000 {
            break;
        }
        let sent = Instant::now();
        let answer = tokio::time::timeout(LIMIT, answer(base, request)).await;
        let latency = sent.elapsed();
        match answer {
            Err(_) => found.fail(format!("no answer within {LIMIT:?}")),
            Ok(Err(failure)) => found.fail(failure.to_string()),
            Ok(Ok((latency_of_bytes, body))) => match judge(request, &body) {
                Ok(()) => found.add(latency_of_bytes.unwrap_or(latency), body.len()),
                Err(why) => found.fail(why),
            },
        }
    }
    found.latencies.sort_unstable();
    found
}

/// The answer, and how long it took where connecting is not to be counted.
async fn answer(base: &str, request: &Request) -> Result<(Option<Duration>, Bytes), Failure> {
    let mut connection = Connection::open(base).await?;
    let body = call_body(request.method, &request.params);
    let begun = Instant::now();
    if request.method == "SubscribeToTask" {
        let mut events = connection.events(request.path, body).await?;
        let first = events.next().await?.map(|event| event.data).unwrap_or_default();
        return Ok((Some(begun.elapsed()), first));
    }
    let answer = connection.post(request.path, body).await?;
    Ok((Some(begun.elapsed()), answer.body))
}

fn judge(request: &Request, body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let shown = || String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    let result = json.get("result").ok_or_else(shown)?;
    (request.check)(result).map_err(|why| format!("{why}: {}", shown()))
}
