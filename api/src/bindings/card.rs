//! Agent cards over HTTP (A2A 8.2, 8.6): with an `ETag`, so that a client asks again for nothing, and `Last-Modified` for those
//! that do not know tags.

use super::{
    Gate,
    answer::say,
    request::{Marks, stated_version},
    since::http_date,
};
use crate::service::{AddressSource, CardFound, CardScope, Shape, failed};
use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use longhaul_domain::AgentName;
use longhaul_wire::Dialect;
use percent_encoding::percent_decode_str;
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
    respond(gate, &parts, scope).await
}

/// The card at an address that names an agent, or the root.
pub async fn below(gate: &Gate, parts: &Parts, agent: Option<&str>) -> Response {
    let name = agent.map(|raw| percent_decode_str(raw).decode_utf8_lossy());
    match name.map(AgentName::new).transpose() {
        Ok(name) => respond(gate, parts, name.map_or(CardScope::Root, CardScope::Agent)).await,
        Err(_) => not_found("there is no agent of this name", &[]),
    }
}

async fn respond(gate: &Gate, parts: &Parts, scope: CardScope) -> Response {
    let address = gate.addresses.of(parts);
    match gate.service.card(&scope, &address).await {
        Ok(CardFound::Card(card)) => {
            let shape = shape(gate, parts);
            match shape.document(&card) {
                Ok(card) => {
                    let bytes = gate.service.signed(card, &address).to_string().into_bytes();
                    let (tag, now) = (etag(&bytes), gate.service.clock.now());
                    let since = match address.source {
                        AddressSource::Configured => {
                            Some(http_date(gate.since.of((scope, shape), &tag, now)))
                        }
                        // Of so many addresses nobody remembers when they were asked first.
                        AddressSource::Listed | AddressSource::Requested => None,
                    };
                    let mut response = cached(&parts.headers, bytes, &tag, since.as_deref());
                    keep_apart(response.headers_mut(), address.source);
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
            // Whoever knows the name of an agent finds its card; without a key nobody is told the names.
            let shown = if gate.service.authenticated { &[] } else { &others[..] };
            not_found(why, shown)
        }
        Err(error) => {
            let error = failed(&Marks::of_request(gate, parts).request_id, &error);
            let body = json!({"error": error.to_string()});
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, &body);
            say(&error, response.headers_mut());
            response
        }
    }
}

/// A client that speaks 1.0 gets the card of 1.0; one that does not say what it speaks, a card that clients of 0.3 read, too.
fn shape(gate: &Gate, parts: &Parts) -> Shape {
    let stated = stated_version(&parts.headers, parts.uri.query());
    let of_v1 = |version: &String| Dialect::from_version(version.trim()) == Some(Dialect::V1_0);
    if !gate.negotiation.v0_3 || stated.as_ref().is_some_and(of_v1) {
        Shape::V1_0
    } else {
        Shape::Any
    }
}

/// What has this tag, or the news that the client has it. `since` is the time of its last change, where one is told.
pub(super) fn cached(
    asked: &HeaderMap,
    bytes: Vec<u8>,
    tag: &str,
    since: Option<&str>,
) -> Response {
    let mut response = if is_known(asked, tag, since) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        with_body(StatusCode::OK, bytes)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::VARY, HeaderValue::from_static("A2A-Version"));
    for (name, value) in [(header::ETAG, Some(tag)), (header::LAST_MODIFIED, since)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

/// Whether a client has what it asks for (RFC 9110, 13.1.2, 13.1.3): by its tag; where it names none, by the time that it was told.
///
/// A time counts only as the very one that this node tells. An earlier one of ours is no proof that a card from another node, which
/// was later to hear of a change, is not the older one; to send a card again is never wrong.
fn is_known(asked: &HeaderMap, tag: &str, since: Option<&str>) -> bool {
    if !asked.contains_key(header::IF_NONE_MATCH) {
        let told = asked.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
        return told.is_some() && told.map(str::trim) == since;
    }
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == "*" || value.trim().trim_start_matches("W/") == tag)
}

/// Cache control of a card that its reader alone may keep.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, max-age=60");

/// Says of an extended card that nobody but its reader may keep it (A2A 13.3).
pub(super) fn keep_private(headers: &mut HeaderMap, gate: &Gate) {
    let reader = if gate.service.options.public_url.is_some() {
        "Authorization, X-API-Key, A2A-Version"
    } else {
        "Authorization, X-API-Key, A2A-Version, Host"
    };
    headers.insert(header::CACHE_CONTROL, PRIVATE);
    headers.insert(header::VARY, HeaderValue::from_static(reader));
}

/// Keeps caches from giving a card to readers who ask another host.
fn keep_apart(headers: &mut HeaderMap, source: AddressSource) {
    if source != AddressSource::Configured {
        headers.insert(header::VARY, HeaderValue::from_static("A2A-Version, Host"));
    }
    if source == AddressSource::Requested {
        headers.insert(header::CACHE_CONTROL, PRIVATE);
    }
}

pub(super) fn etag(bytes: &[u8]) -> String {
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
    use crate::testing::Node;
    use axum::body::to_bytes;
    use tower::ServiceExt;

    const SINCE: &str = "Sun, 01 Mar 2026 09:05:07 GMT";

    fn ask(asked: &HeaderMap, card: &[u8]) -> Response {
        cached(asked, card.to_vec(), &etag(card), Some(SINCE))
    }

    #[test]
    fn a_card_that_the_client_has_is_not_sent_again() {
        let mut asked = HeaderMap::new();
        let first = ask(&asked, b"{}");
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        asked.insert(header::IF_NONE_MATCH, tag);
        let again = ask(&asked, b"{}");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::LAST_MODIFIED], SINCE);
        assert_eq!(ask(&asked, b"{\"a\":1}").status(), StatusCode::OK);
    }

    #[test]
    fn a_client_that_names_no_tag_is_known_by_the_time_that_it_was_told() {
        let mut asked = HeaderMap::new();
        for (told, status) in [
            (SINCE, StatusCode::NOT_MODIFIED),
            ("Sun, 01 Mar 2026 09:05:08 GMT", StatusCode::OK),
            ("Sun, 01 Mar 2026 09:05:06 GMT", StatusCode::OK),
        ] {
            asked.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static(told));
            assert_eq!(ask(&asked, b"{}").status(), status, "{told}");
        }
        // A tag counts more, whatever the time is.
        asked.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"another\""));
        asked.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static(SINCE));
        assert_eq!(ask(&asked, b"{}").status(), StatusCode::OK);
    }

    async fn get(node: &Node, path: &str, known_since: Option<&HeaderValue>) -> Response {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        if let Some(since) = known_since {
            request.headers_mut().insert(header::IF_MODIFIED_SINCE, since.clone());
        }
        node.api.router().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_card_is_told_once_to_a_client_that_goes_by_the_time() {
        let node = Node::start().await;
        let path = "/.well-known/agent-card.json";
        let first = get(&node, path, None).await;
        let since = first.headers().get(header::LAST_MODIFIED);
        assert_eq!(get(&node, path, since).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn names_of_agents_are_told_where_nobody_needs_a_key() {
        for (node, told) in
            [(Node::start().await, json!(["echo"])), (Node::with_keys().await, json!([]))]
        {
            let response = get(&node, "/agents/nobody/.well-known/agent-card.json", None).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["agents"], told);
        }
    }
}
