//! Public documents: cards and key sets.

use crate::{
    ApiKind, ClientError, Result, redirect,
    transport::{http_client, unreachable, within_request_timeout},
};
use futures::StreamExt;
use reqwest::{Url, header::ACCEPT};
use serde_json::Value;

/// Largest document, in bytes: more than any card needs.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;

/// Fetches a public document, such as a card or a key set. `version` is the protocol version to ask
/// for.
///
/// No API key is sent, and only redirects within the address's own origin are followed: a document
/// that is trusted for where it stands comes from there.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://agents.example.com/.well-known/agent-card.json".parse()?;
/// let card = longhaul_client::fetch_document(&url, Some("1.0")).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Fails if the server cannot be reached, answers an HTTP error or a redirect to another origin, or
/// if the document is larger than [`MAX_DOCUMENT_BYTES`].
pub async fn fetch_document(url: &Url, version: Option<&str>) -> Result<Vec<u8>> {
    within_request_timeout(url.as_str(), get(url, version)).await
}

async fn get(url: &Url, version: Option<&str>) -> Result<Vec<u8>> {
    let client = http_client(redirect::policy(true))?;
    let mut request = client.get(url.clone()).header(ACCEPT, "application/json");
    if let Some(version) = version {
        request = request.header("A2A-Version", version);
    }
    let broken = |error: reqwest::Error| unreachable(url.as_str(), &error);
    let response = request.send().await.map_err(broken)?;
    redirect::check_not_redirected(url.as_str(), &response)?;
    let status = response.status();
    // Read piece by piece: a length may be missing or wrong.
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(bytes) = stream.next().await {
        body.extend_from_slice(&bytes.map_err(broken)?);
        if body.len() > MAX_DOCUMENT_BYTES {
            return Err(ClientError::TooLarge { url: url.to_string(), limit: MAX_DOCUMENT_BYTES });
        }
    }
    if status.is_success() {
        return Ok(body);
    }
    let (url, status, api) = (url.to_string(), status.as_u16(), ApiKind::Document);
    Err(match error_message(&body) {
        Some(message) => ClientError::Denied { url, status, message, api },
        None => ClientError::Http { url, status, api },
    })
}

/// The message of an error, with the names of the server's agents where it lists them.
fn error_message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let message =
        body.get("error").and_then(|error| error.as_str().or(error["message"].as_str()))?;
    let agents = body["agents"].as_array().into_iter().flatten();
    let agents: Vec<&str> = agents.filter_map(Value::as_str).collect();
    let agents =
        if agents.is_empty() { String::new() } else { format!(" ({})", agents.join(", ")) };
    Some(format!("{message}{agents}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_carries_the_servers_message() {
        let body = br#"{"error": "there are several agents", "agents": ["a", "b"]}"#;
        assert_eq!(error_message(body).as_deref(), Some("there are several agents (a, b)"));
        assert_eq!(error_message(br#"{"error": {"message": "no"}}"#).as_deref(), Some("no"));
        assert_eq!(error_message(b"<html>"), None);
    }
}
