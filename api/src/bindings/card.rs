//! Agent cards over HTTP (A2A 8.2, 8.6): with an `ETag`, so that a client asks again for nothing, and `Last-Modified`.

use super::{
    Gate,
    request::{Marks, stated_version},
    since::http_date,
};
use crate::service::{CardFound, CardScope, Shape, failed};
use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use longhaul_domain::AgentName;
use longhaul_wire::{Dialect, error::seconds};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// For how long a card may be kept without asking.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// The card of the agent at the root.
pub async fn of_root(State(gate): State<Gate>, request: Request) -> Response {
    answer(&gate, request, CardScope::Root).await
}

/// The card of an agent at its own address.
pub async fn of_agent(
    State(gate): State<Gate>,
    Path(agent): Path<String>,
    request: Request,
) -> Response {
    match AgentName::new(agent) {
        Ok(name) => answer(&gate, request, CardScope::Agent(name)).await,
        Err(_) => not_found("there is no agent of this name", &[]),
    }
}

async fn answer(gate: &Gate, request: Request, scope: CardScope) -> Response {
    let (parts, _) = request.into_parts();
    match gate.service.card(&scope).await {
        Ok(CardFound::Card(card)) => {
            let shape = shape(gate, &parts);
            match shape.document(&card) {
                Ok(card) => {
                    let bytes = gate.service.signed(card).to_string().into_bytes();
                    let mut response = cached(&parts.headers, bytes);
                    date(gate, (scope, shape), response.headers_mut());
                    response
                }
                Err(error) => {
                    tracing::error!(%error, "a card cannot be written");
                    plain(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "internal error"}))
                }
            }
        }
        Ok(CardFound::None(others)) => {
            let why = match (&scope, others.is_empty()) {
                (_, true) => "no agent is registered yet; start a worker that runs one",
                (CardScope::Agent(_), false) => "there is no agent of this name",
                (CardScope::Root, false) => {
                    "there are several agents and none is the default; see /agents/<name>/.well-known/agent-card.json"
                }
            };
            not_found(why, &others)
        }
        Err(error) => {
            let error = failed(&Marks::of_request(gate, &parts).request_id, &error);
            let body = json!({"error": error.to_string()});
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, &body);
            if let Some(wait) = error.retry_after() {
                let wait = HeaderValue::from(seconds(wait));
                response.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            response
        }
    }
}

/// Says since when a card is as it is.
fn date(gate: &Gate, card: (CardScope, Shape), headers: &mut HeaderMap) {
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    let since = http_date(gate.since.of(card, tag, gate.service.clock.now()));
    if let Ok(since) = HeaderValue::from_str(&since) {
        headers.insert(header::LAST_MODIFIED, since);
    }
}

/// A client that speaks 1.0 gets the card of 1.0; one that does not say what it speaks, a card that clients of 0.3 read, too.
fn shape(gate: &Gate, parts: &Parts) -> Shape {
    let stated = stated_version(&parts.headers, parts.uri.query());
    let of_v1 = |version: &String| Dialect::of_version(version.trim()) == Some(Dialect::V1_0);
    if !gate.negotiation.v0_3 || stated.as_ref().is_some_and(of_v1) {
        Shape::V1_0
    } else {
        Shape::Any
    }
}

/// The card, or the news that the client has it.
pub(super) fn cached(asked: &HeaderMap, bytes: Vec<u8>) -> Response {
    let tag = etag(&bytes);
    let known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == "*" || value.trim().trim_start_matches("W/") == tag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        with_body(StatusCode::OK, bytes)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::VARY, HeaderValue::from_static("A2A-Version"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Says of an extended card that nobody but its reader may keep it (A2A 13.3).
pub(super) fn keep_private(headers: &mut HeaderMap) {
    const READER: HeaderValue = HeaderValue::from_static("Authorization, X-API-Key, A2A-Version");
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=60"));
    headers.insert(header::VARY, READER);
}

fn etag(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut tag = String::from("\"");
    for byte in &digest[..12] {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn not_found(why: &str, agents: &[AgentName]) -> Response {
    let agents: Vec<&str> = agents.iter().map(AgentName::as_str).collect();
    plain(StatusCode::NOT_FOUND, &json!({"error": why, "agents": agents}))
}

pub(super) fn plain(status: StatusCode, body: &serde_json::Value) -> Response {
    with_body(status, body.to_string().into_bytes())
}

fn with_body(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_the_client_has_is_not_sent_again() {
        let mut asked = HeaderMap::new();
        let first = cached(&asked, b"{}".to_vec());
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        asked.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(cached(&asked, b"{}".to_vec()).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(cached(&asked, b"{\"a\":1}".to_vec()).status(), StatusCode::OK);
    }
}
