//! The key set that signatures of cards are checked with (A2A 8.4.3, RFC 7517).

use super::{Gate, card};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::json;

/// Where it is served; signatures name it unless they are told another place.
pub const PATH: &str = "/.well-known/jwks.json";
/// For how long a key set may be kept: a key that is to sign is published at least this long before.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
const KEY_SET: HeaderValue = HeaderValue::from_static("application/jwk-set+json");

/// The key set, or the news that the client has it.
pub async fn key_set(State(gate): State<Gate>, asked: HeaderMap) -> Response {
    let Some(jwks) = gate.service.jwks() else {
        let why = "cards are not signed here: cards.signing_keys is not set";
        return card::plain(StatusCode::NOT_FOUND, &json!({ "error": why }));
    };
    let bytes = jwks.to_string().into_bytes();
    let tag = card::etag(&bytes);
    let mut response = card::cached(&asked, bytes, &tag, None);
    let headers = response.headers_mut();
    headers.remove(header::VARY);
    headers.insert(header::CACHE_CONTROL, CACHE);
    if headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, KEY_SET);
    }
    response
}
