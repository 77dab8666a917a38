//! Calls of API nodes that may fail in every way.

use crate::random::Random;
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest time without a byte on a stream. Idle streams carry a comment every second.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of the API nodes.
#[derive(Debug, Clone)]
pub struct ApiNodes {
    nodes: Vec<String>,
    http: reqwest::Client,
}

/// Error of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The connection failed, or the call timed out.
    Network(String),
    /// The server is overloaded or unavailable.
    Busy(String),
    /// The server refused the call with this code.
    Refused(i64, String),
    /// The answer is invalid, or reports an internal error.
    Invalid(String),
}

impl CallError {
    /// True when a retry may succeed.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Busy(_))
    }
}

impl ApiNodes {
    /// The nodes at these base URLs.
    pub fn new(nodes: Vec<String>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .expect("the settings of the client are valid");
        Self { nodes, http }
    }

    /// The index of a random node.
    pub fn random_node(&self, random: &mut Random) -> usize {
        *random.pick(&(0..self.nodes.len()).collect::<Vec<_>>())
    }

    /// Calls a method of a node; returns its result.
    pub async fn call(
        &self,
        node: usize,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<Value, CallError> {
        let answer = async {
            let response = self.post(node, method, params, None).await?;
            read(response).await
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Network(format!("{method}: no answer within {limit:?}"))),
        }
    }

    /// Calls a streaming method of a node, resuming after `cursor`.
    pub async fn stream(
        &self,
        node: usize,
        method: &str,
        params: &Value,
        cursor: Option<i64>,
    ) -> Result<Response, CallError> {
        let opened =
            tokio::time::timeout(STREAM_IDLE_TIMEOUT, self.post(node, method, params, cursor))
                .await;
        let response = match opened {
            Ok(response) => response?,
            Err(_) => return Err(CallError::Network(format!("{method}: not opened in time"))),
        };
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if response.status() == 200
            && kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
        {
            return Ok(response);
        }
        let read = tokio::time::timeout(STREAM_IDLE_TIMEOUT, read(response)).await;
        match read {
            Ok(Err(trouble)) => Err(trouble),
            Ok(Ok(result)) => Err(CallError::Invalid(format!("{method}: no stream but {result}"))),
            Err(_) => Err(CallError::Network(format!("{method}: no body in time"))),
        }
    }

    async fn post(
        &self,
        node: usize,
        method: &str,
        params: &Value,
        cursor: Option<i64>,
    ) -> Result<Response, CallError> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self
            .http
            .post(&self.nodes[node])
            .header("content-type", "application/json")
            .header("a2a-version", "1.0")
            .body(body.to_string());
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor.to_string());
        }
        request.send().await.map_err(|error| CallError::Network(format!("{method}: {error:?}")))
    }
}

async fn read(response: Response) -> Result<Value, CallError> {
    let status = response.status().as_u16();
    let network = |error: reqwest::Error| CallError::Network(format!("{error:?}"));
    let text = response.text().await.map_err(network)?;
    match status {
        429 | 503 => Err(CallError::Busy(text)),
        200 => parse_response(&text),
        _ => Err(CallError::Invalid(format!("HTTP {status}: {text}"))),
    }
}

/// Parses a JSON-RPC response; returns its result.
pub fn parse_response(text: &str) -> Result<Value, CallError> {
    let Ok(mut response) = serde_json::from_str::<Value>(text) else {
        return Err(CallError::Invalid(format!("no JSON: {text}")));
    };
    if let Some(code) = response.pointer("/error/code").and_then(Value::as_i64) {
        let message = response["error"].to_string();
        return Err(match code {
            -32052 | -32053 => CallError::Busy(message),
            -32603 | -32700 => CallError::Invalid(message),
            code => CallError::Refused(code, message),
        });
    }
    match response["result"].take() {
        Value::Null => Err(CallError::Invalid(format!("neither result nor error: {text}"))),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::{CallError, parse_response};

    #[test]
    fn errors_are_classified() {
        let error = |code: i64| {
            parse_response(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m"}}}}"#
            ))
        };
        assert!(matches!(error(-32053), Err(CallError::Busy(_))));
        assert!(matches!(error(-32004), Err(CallError::Refused(-32004, _))));
        assert!(matches!(error(-32603), Err(CallError::Invalid(_))));
        assert!(matches!(parse_response("<html>"), Err(CallError::Invalid(_))));
        assert!(
            matches!(parse_response(r#"{"result":{"id":"t"}}"#), Ok(result) if result["id"] == "t")
        );
    }
}
