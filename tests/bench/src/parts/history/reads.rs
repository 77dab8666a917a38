//! Reads over HTTP, one request at a time.

use crate::http::{HttpConnection, RequestError, call_body};
use bytes::Bytes;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Failures after which a kind of request is abandoned.
const MAX_FAILURES: usize = 3;

/// A check of an answer.
pub type AnswerCheck = Box<dyn Fn(&Value) -> Result<(), String>>;

/// A read request.
pub struct ReadRequest {
    /// The path.
    pub path: &'static str,
    /// The method. The answer of `SubscribeToTask` is its first event.
    pub method: &'static str,
    /// The parameters.
    pub params: Value,
    /// The check of its answer.
    pub check: AnswerCheck,
}

/// Read requests of one kind.
pub struct ReadRequests {
    /// The title of the row.
    pub what: &'static str,
    /// The requests in order, repeated while time is left.
    pub requests: Vec<ReadRequest>,
}

/// Result of read requests.
#[derive(Debug, Default)]
pub struct ReadResult {
    /// Sorted latencies.
    pub latencies: Vec<Duration>,
    /// Total bytes of answers.
    pub bytes: usize,
    /// Number of failed requests.
    pub failed: usize,
    /// The first failure.
    pub failure: Option<String>,
}

impl ReadResult {
    /// Adds a right answer.
    pub fn add(&mut self, latency: Duration, bytes: usize) {
        self.latencies.push(latency);
        self.bytes += bytes;
    }

    fn fail(&mut self, cause: String) {
        self.failed += 1;
        self.failure.get_or_insert(cause);
    }
}

/// Sends requests of one kind for the measured time.
pub async fn read(base: &str, requests: &ReadRequests, measured: Duration) -> ReadResult {
    let mut result = ReadResult::default();
    let begun = Instant::now();
    for (number, request) in requests.requests.iter().cycle().enumerate() {
        let enough = number >= 3 && begun.elapsed() >= measured;
        if enough || result.failed >= MAX_FAILURES || number >= 2_000 {
            break;
        }
        let sent = Instant::now();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer(base, request)).await;
        let latency = sent.elapsed();
        match answer {
            Err(_) => result.fail(format!("no answer within {ANSWER_TIMEOUT:?}")),
            Ok(Err(failure)) => result.fail(failure.to_string()),
            Ok(Ok((latency_of_bytes, body))) => match check_answer(request, &body) {
                Ok(()) => result.add(latency_of_bytes.unwrap_or(latency), body.len()),
                Err(cause) => result.fail(cause),
            },
        }
    }
    result.latencies.sort_unstable();
    result
}

/// Sends a request; returns its latency without the time to connect, and its answer.
async fn answer(
    base: &str,
    request: &ReadRequest,
) -> Result<(Option<Duration>, Bytes), RequestError> {
    let mut connection = HttpConnection::open(base).await?;
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

fn check_answer(request: &ReadRequest, body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let shown = || String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    let result = json.get("result").ok_or_else(shown)?;
    (request.check)(result).map_err(|cause| format!("{cause}: {}", shown()))
}
