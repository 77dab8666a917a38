//! Calls that may go wrong in every way. Whatever is not an answer is trouble, and trouble is tried again.

use crate::random::Random;
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest time without a byte on a stream; idle streams carry a comment every second.
pub const IDLE: Duration = Duration::from_secs(5);

/// API nodes.
#[derive(Debug, Clone)]
pub struct Api {
    nodes: Vec<String>,
    http: reqwest::Client,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The connection failed, or nothing came in time.
    Network(String),
    /// The server says that it cannot now.
    Busy(String),
    /// The server refused, with this code.
    Refused(i64, String),
    /// The answer makes no sense, or is an error inside of the server.
    Nonsense(String),
}

impl Trouble {
    /// Whether the same may be tried again with success.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Network(_) | Self::Busy(_))
    }
}

impl Api {
    /// The nodes at these base addresses.
    pub fn new(nodes: Vec<String>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .expect("the settings of the client are valid");
        Self { nodes, http }
    }

    /// Any node.
    pub fn any(&self, random: &mut Random) -> usize {
        *random.pick(&(0..self.nodes.len()).collect::<Vec<_>>())
    }

    /// Calls a method of a node and gives the result.
    pub async fn call(
        &self,
        node: usize,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<Value, Trouble> {
        let answer = async {
            let response = self.post(node, method, params, None).await?;
            read(response).await
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Network(format!("{method}: no answer within {limit:?}"))),
        }
    }

    /// Calls a streaming method of a node, behind a cursor where there is one.
    pub async fn stream(
        &self,
        node: usize,
        method: &str,
        params: &Value,
        cursor: Option<i64>,
    ) -> Result<Response, Trouble> {
        let opened = tokio::time::timeout(IDLE, self.post(node, method, params, cursor)).await;
        let response = match opened {
            Ok(response) => response?,
            Err(_) => return Err(Trouble::Network(format!("{method}: not opened in time"))),
        };
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if response.status() == 200
            && kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
        {
            return Ok(response);
        }
        let read = tokio::time::timeout(IDLE, read(response)).await;
        match read {
            Ok(Err(trouble)) => Err(trouble),
            Ok(Ok(result)) => Err(Trouble::Nonsense(format!("{method}: no stream but {result}"))),
            Err(_) => Err(Trouble::Network(format!("{method}: no body in time"))),
        }
    }

    async fn post(
        &self,
        node: usize,
        method: &str,
        params: &Value,
        cursor: Option<i64>,
    ) -> Result<Response, Trouble> {
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
        request.send().await.map_err(|error| Trouble::Network(format!("{method}: {error:?}")))
    }
}

async fn read(response: Response) -> Result<Value, Trouble> {
    let status = response.status().as_u16();
    let network = |error: reqwest::Error| Trouble::Network(format!("{error:?}"));
    let text = response.text().await.map_err(network)?;
    match status {
        429 | 503 => Err(Trouble::Busy(text)),
        200 => outcome(&text),
        _ => Err(Trouble::Nonsense(format!("HTTP {status}: {text}"))),
    }
}

/// The result of a JSON-RPC response.
pub fn outcome(text: &str) -> Result<Value, Trouble> {
    let Ok(mut response) = serde_json::from_str::<Value>(text) else {
        return Err(Trouble::Nonsense(format!("no JSON: {text}")));
    };
    if let Some(code) = response.pointer("/error/code").and_then(Value::as_i64) {
        let message = response["error"].to_string();
        return Err(match code {
            -32052 | -32053 => Trouble::Busy(message),
            -32603 | -32700 => Trouble::Nonsense(message),
            code => Trouble::Refused(code, message),
        });
    }
    match response["result"].take() {
        Value::Null => Err(Trouble::Nonsense(format!("neither result nor error: {text}"))),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::{Trouble, outcome};

    #[test]
    fn errors_are_told_apart() {
        let error = |code: i64| {
            outcome(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m"}}}}"#
            ))
        };
        assert!(matches!(error(-32053), Err(Trouble::Busy(_))));
        assert!(matches!(error(-32004), Err(Trouble::Refused(-32004, _))));
        assert!(matches!(error(-32603), Err(Trouble::Nonsense(_))));
        assert!(matches!(outcome("<html>"), Err(Trouble::Nonsense(_))));
        assert!(matches!(outcome(r#"{"result":{"id":"t"}}"#), Ok(result) if result["id"] == "t"));
    }
}
