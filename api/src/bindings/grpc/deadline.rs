//! The deadline of a call: `grpc-timeout`. A call that exceeds it ends; its work goes on, as when a
//! client disconnects.

use axum::{http::HeaderMap, response::Response};
use longhaul_proto::transport_error;
use longhaul_wire::ProtocolError;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Code;

const TIMEOUT_HEADER: &str = "grpc-timeout";

/// Most digits of a timeout.
const MAX_TIMEOUT_DIGITS: usize = 8;

/// Timeout of a call; `None` when it has none.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<Duration>, ProtocolError> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(None) };
    let time = value.to_str().ok().and_then(read);
    time.map(Some).ok_or_else(|| {
        ProtocolError::invalid(
            TIMEOUT_HEADER,
            "is not a time of gRPC; send at most 8 digits and one of H, M, S, m, u and n, such as 30S",
        )
    })
}

fn read(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    if digits.len() > MAX_TIMEOUT_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Eight digits always fit.
    let number: u32 = digits.parse().ok()?;
    let unit = match &text[digits.len()..] {
        "H" => Duration::from_secs(3_600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit * number)
}

/// The response, or `DEADLINE_EXCEEDED` after the timeout.
pub async fn within(time: Option<Duration>, answer: impl Future<Output = Response>) -> Response {
    let Some(time) = time else { return answer.await };
    timeout(time, answer).await.unwrap_or_else(|_| {
        let why = "There was no answer within the deadline of the call. What it asked for goes on: \
                   get the task, or send the same message again with a longer deadline";
        transport_error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", why).into_http()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_parsed() {
        for (text, time) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("30S", Some(Duration::from_secs(30))),
            ("100m", Some(Duration::from_millis(100))),
            ("0m", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("7u", Some(Duration::from_micros(7))),
            ("1n", Some(Duration::from_nanos(1))),
            ("123456789S", None),
            ("abc", None),
            ("1X", None),
            ("-1S", None),
            ("+1S", None),
            ("1", None),
            ("S", None),
            ("1SS", None),
            ("", None),
            ("1 S", None),
        ] {
            assert_eq!(read(text), time, "{text}");
        }
    }
}
