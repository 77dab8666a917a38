//! Agent cards and the key set over HTTP (A2A 8.2, 8.4.3, 8.6), with an `ETag` against needless
//! transfers, and `Last-Modified` for clients that do not know tags.

use super::{
    AppState,
    card_format::CardFormat,
    last_modified::http_date,
    request::{RequestContext, stated_version},
    response::set_error_headers,
};
use crate::service::{AddressSource, CardLookup, CardScope, store_error};
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

/// Caching of cards.
const CARD_CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// Path of the key set; signatures name it unless another place is configured.
pub const KEY_SET_PATH: &str = "/.well-known/jwks.json";
/// Caching of the key set: a key is published at least this long before it signs.
const KEY_SET_CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");
const KEY_SET_TYPE: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// The card of the agent at the root.
pub async fn root_card(State(state): State<AppState>, request: Request) -> Response {
    answer(&state, request, CardScope::Root).await
}

/// The card of an agent at its own address.
pub async fn agent_card(
    State(state): State<AppState>,
    Path(agent): Path<String>,
    request: Request,
) -> Response {
    match AgentName::new(agent) {
        Ok(name) => answer(&state, request, CardScope::Agent(name)).await,
        Err(_) => not_found("there is no agent of this name", &[]),
    }
}

async fn answer(state: &AppState, request: Request, scope: CardScope) -> Response {
    let (parts, _) = request.into_parts();
    respond(state, &parts, scope).await
}

/// The card below an address that names an agent, or the root.
pub async fn at_address(state: &AppState, parts: &Parts, agent: Option<&str>) -> Response {
    let name = agent.map(|raw| percent_decode_str(raw).decode_utf8_lossy());
    match name.map(AgentName::new).transpose() {
        Ok(name) => respond(state, parts, name.map_or(CardScope::Root, CardScope::Agent)).await,
        Err(_) => not_found("there is no agent of this name", &[]),
    }
}

async fn respond(state: &AppState, parts: &Parts, scope: CardScope) -> Response {
    let address = state.addresses.card_address(parts);
    match state.service.card(&scope, &address).await {
        Ok(CardLookup::Found(card)) => {
            let format = format(state, parts);
            match format.document(&card) {
                Ok(card) => {
                    let bytes = state.service.signed(card, &address).to_string().into_bytes();
                    let (tag, now) = (etag(&bytes), state.service.clock.now());
                    let since = match address.source {
                        AddressSource::Configured => {
                            Some(http_date(state.last_modified.time_of((scope, format), &tag, now)))
                        }
                        // Clients choose among unboundedly many addresses, so no times are kept for
                        // them.
                        AddressSource::Listed | AddressSource::Requested => None,
                    };
                    let mut response = cached(&parts.headers, bytes, &tag, since.as_deref());
                    vary_by_host(response.headers_mut(), address.source);
                    response
                }
                Err(error) => {
                    tracing::error!(%error, "card encoding failed");
                    plain(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "internal error"}))
                }
            }
        }
        Ok(CardLookup::NotFound(others)) => {
            let why = match (&scope, others.is_empty()) {
                (_, true) => "no agent is registered yet; start a worker that runs one",
                (CardScope::Agent(_), false) => "there is no agent of this name",
                (CardScope::Root, false) => {
                    "there are several agents and none is the default; see /agents/<name>/.well-known/agent-card.json"
                }
            };
            // An agent's card is public to those who know its name; the names are not told without
            // a key.
            let shown = if state.service.authenticated { &[] } else { &others[..] };
            not_found(why, shown)
        }
        Err(error) => {
            let error = store_error(&RequestContext::from_request(state, parts).request_id, &error);
            let body = json!({"error": error.to_string()});
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, &body);
            set_error_headers(&error, response.headers_mut());
            response
        }
    }
}

/// Clients of 1.0 get its card; clients that state no version get one that 0.3 can read, too.
fn format(state: &AppState, parts: &Parts) -> CardFormat {
    let stated = stated_version(&parts.headers, parts.uri.query());
    let is_v1_0 = |version: &String| Dialect::from_version(version.trim()) == Some(Dialect::V1_0);
    if !state.negotiation.v0_3 || stated.as_ref().is_some_and(is_v1_0) {
        CardFormat::V1_0
    } else {
        CardFormat::Any
    }
}

/// A response with this tag, or 304 if the client has it. `since` is the time of the last change.
fn cached(request_headers: &HeaderMap, bytes: Vec<u8>, tag: &str, since: Option<&str>) -> Response {
    let mut response = if client_has(request_headers, tag, since) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        with_body(StatusCode::OK, bytes)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CARD_CACHE_CONTROL);
    // The stated version selects the format.
    headers.insert(header::VARY, HeaderValue::from_static("A2A-Version"));
    for (name, value) in [(header::ETAG, Some(tag)), (header::LAST_MODIFIED, since)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

/// True when the client has the document (RFC 9110, 13.1.2, 13.1.3): by tag, or else by time.
///
/// A time counts only if it equals this node's. An earlier one does not prove that a card from
/// another node, which may have learned of a change later, is not older. Sending a card again is
/// always correct.
fn client_has(request_headers: &HeaderMap, tag: &str, since: Option<&str>) -> bool {
    if !request_headers.contains_key(header::IF_NONE_MATCH) {
        let time =
            request_headers.get(header::IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
        // Equality only: an earlier time proves nothing about another node's card.
        return time.is_some() && time.map(str::trim) == since;
    }
    request_headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == "*" || value.trim().trim_start_matches("W/") == tag)
}

/// Caching of a card for its reader only.
const PRIVATE_CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, max-age=60");

/// Keeps shared caches from storing an extended card (A2A 13.3).
pub(super) fn keep_private(headers: &mut HeaderMap, state: &AppState) {
    let reader = if state.service.options.public_url.is_some() {
        "Authorization, X-API-Key, A2A-Version"
    } else {
        "Authorization, X-API-Key, A2A-Version, Host"
    };
    headers.insert(header::CACHE_CONTROL, PRIVATE_CACHE_CONTROL);
    headers.insert(header::VARY, HeaderValue::from_static(reader));
}

/// Keeps caches from serving a card to clients that ask another host.
fn vary_by_host(headers: &mut HeaderMap, source: AddressSource) {
    if source != AddressSource::Configured {
        headers.insert(header::VARY, HeaderValue::from_static("A2A-Version, Host"));
    }
    if source == AddressSource::Requested {
        headers.insert(header::CACHE_CONTROL, PRIVATE_CACHE_CONTROL);
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

/// Answers with the key set, or 304 when the client has it.
pub async fn key_set(State(state): State<AppState>, request_headers: HeaderMap) -> Response {
    let Some(jwks) = state.service.jwks() else {
        let why = "cards are not signed here: cards.signing_keys is not set";
        return plain(StatusCode::NOT_FOUND, &json!({ "error": why }));
    };
    let bytes = jwks.to_string().into_bytes();
    let tag = etag(&bytes);
    let mut response = cached(&request_headers, bytes, &tag, None);
    let headers = response.headers_mut();
    headers.remove(header::VARY);
    headers.insert(header::CACHE_CONTROL, KEY_SET_CACHE_CONTROL);
    if headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, KEY_SET_TYPE);
    }
    response
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

    fn ask(request_headers: &HeaderMap, card: &[u8]) -> Response {
        cached(request_headers, card.to_vec(), &etag(card), Some(SINCE))
    }

    #[test]
    fn a_card_with_a_known_tag_is_not_sent_again() {
        let mut request_headers = HeaderMap::new();
        let first = ask(&request_headers, b"{}");
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        request_headers.insert(header::IF_NONE_MATCH, tag);
        let again = ask(&request_headers, b"{}");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::LAST_MODIFIED], SINCE);
        assert_eq!(ask(&request_headers, b"{\"a\":1}").status(), StatusCode::OK);
    }

    #[test]
    fn without_a_tag_the_time_decides_if_a_card_is_sent() {
        let mut request_headers = HeaderMap::new();
        for (time, status) in [
            (SINCE, StatusCode::NOT_MODIFIED),
            ("Sun, 01 Mar 2026 09:05:08 GMT", StatusCode::OK),
            ("Sun, 01 Mar 2026 09:05:06 GMT", StatusCode::OK),
        ] {
            request_headers.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static(time));
            assert_eq!(ask(&request_headers, b"{}").status(), status, "{time}");
        }
        // A tag takes precedence over the time.
        request_headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"another\""));
        request_headers.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static(SINCE));
        assert_eq!(ask(&request_headers, b"{}").status(), StatusCode::OK);
    }

    async fn get(node: &Node, path: &str, known_since: Option<&HeaderValue>) -> Response {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        if let Some(since) = known_since {
            request.headers_mut().insert(header::IF_MODIFIED_SINCE, since.clone());
        }
        node.api.router().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_card_is_not_sent_again_to_a_client_that_goes_by_time() {
        let node = Node::start().await;
        let path = "/.well-known/agent-card.json";
        let first = get(&node, path, None).await;
        let since = first.headers().get(header::LAST_MODIFIED);
        assert_eq!(get(&node, path, since).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn agent_names_are_listed_only_without_authentication() {
        for (node, time) in
            [(Node::start().await, json!(["echo"])), (Node::with_keys().await, json!([]))]
        {
            let response = get(&node, "/agents/nobody/.well-known/agent-card.json", None).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["agents"], time);
        }
    }
}
