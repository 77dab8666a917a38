//! Cross-origin resource sharing: which pages may read answers, for every binding alike. Keys come in a header that a page sets itself,
//! so browsers are never asked to send credentials of their own.

use super::origin::OriginPolicy;
use axum::http::{HeaderName, HeaderValue, Method, header};
use std::{sync::Arc, time::Duration};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Time for which browsers may keep the answer to a preflight request; none keeps it longer.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Headers that pages may read.
const EXPOSED: [HeaderName; 11] = [
    header::ALLOW,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("a2a-extensions"),
    HeaderName::from_static("x-a2a-extensions"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// Answers preflight requests, and puts CORS headers on answers to pages that the policy allows.
pub fn layer(policy: Arc<OriginPolicy>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, parts| {
            policy.allows(origin, parts.uri.path())
        }))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        // Extensions of A2A have headers that nobody knows here.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE)
        .allow_private_network(true)
}
