//! Documents that anybody may read: cards and key sets. No API key goes along, wherever they are, and what an address gives
//! came from its own origin.

use super::{
    ClientError,
    endpoint::{ANSWER, http_client, silent, unreachable},
    error::UNKNOWN,
    redirect,
};
use crate::{exit::Failure, screen::clean};
use futures::StreamExt;
use reqwest::{Url, header::ACCEPT};

/// Larger than any card; what is larger is not read to its end.
const LARGEST: usize = 4 << 20;

/// Gets a document. `version` is the protocol version to ask for.
pub async fn fetch(url: &Url, version: Option<&str>) -> Result<Vec<u8>, Failure> {
    let limit = tokio::time::timeout(ANSWER, get(url, version));
    limit.await.unwrap_or_else(|_| Err(silent(url.as_str(), ANSWER).into()))
}

async fn get(url: &Url, version: Option<&str>) -> Result<Vec<u8>, Failure> {
    let client = http_client(redirect::policy(true))?;
    let mut request = client.get(url.clone()).header(ACCEPT, "application/json");
    if let Some(version) = version {
        request = request.header("A2A-Version", version);
    }
    let broken = |error: reqwest::Error| Failure::from(unreachable(url.as_str(), &error));
    let response = request.send().await.map_err(broken)?;
    redirect::not_followed(url.as_str(), &response).map_err(elsewhere)?;
    let status = response.status();
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(bytes) = stream.next().await {
        body.extend_from_slice(&bytes.map_err(broken)?);
        if body.len() > LARGEST {
            return Err(Failure::failed(format!("{url} answered more than {LARGEST} bytes")));
        }
    }
    if status.is_success() {
        return Ok(body);
    }
    let said = said(&body).map(|said| format!(": {said}")).unwrap_or_default();
    Err(Failure::failed(format!("{url} answered HTTP {}{said}", status.as_u16())))
}

fn elsewhere(error: ClientError) -> Failure {
    let ClientError::Elsewhere { url, to } = error else { return error.into() };
    let to = to.unwrap_or_else(|| UNKNOWN.to_owned());
    Failure::failed(format!(
        "{url} sends its clients on to {to}, which was not asked: what another server gives counts only if you name that \
         server; if you trust it, name its address yourself (a key set with --jwks)"
    ))
}

/// What a server says about a refusal, with the names of its agents where it gives them.
fn said(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let why = body.get("error").and_then(|error| error.as_str().or(error["message"].as_str()))?;
    let agents = body["agents"].as_array().into_iter().flatten();
    let agents: Vec<&str> = agents.filter_map(|agent| agent.as_str()).collect();
    let agents =
        if agents.is_empty() { String::new() } else { format!(" ({})", agents.join(", ")) };
    Some(clean(&format!("{why}{agents}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_server_says() {
        let body = br#"{"error": "there are several agents", "agents": ["a", "b"]}"#;
        assert_eq!(said(body).as_deref(), Some("there are several agents (a, b)"));
        assert_eq!(said(br#"{"error": {"message": "no\u001b"}}"#).as_deref(), Some("no\u{fffd}"));
        assert_eq!(said(b"<html>"), None);
    }
}
