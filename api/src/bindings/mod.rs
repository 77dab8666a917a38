//! Bindings: bytes to requests, answers to bytes. Thin: what is asked is done by the service.

mod address;
mod answer;
mod body;
mod card;
mod cors;
mod forwarded;
mod front;
mod grpc;
mod health;
mod host;
mod http;
mod jsonrpc;
mod jwks;
mod operator;
mod origin;
mod perform;
mod pieces;
mod request;
mod since;
mod sse;

pub use address::Addresses;
pub use body::Bodies;
pub use forwarded::Peer;
pub use front::Front;
pub use since::Since;

use crate::{auth::Authenticator, service::Service};
use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use longhaul_runtime::Readiness;
use longhaul_wire::dialect::Negotiation;
use std::{sync::Arc, time::Duration};
use tower_http::catch_panic::CatchPanicLayer;

/// What the bindings need.
#[derive(Clone)]
pub struct Gate {
    pub service: Arc<Service>,
    pub authenticator: Arc<dyn Authenticator>,
    pub readiness: Readiness,
    pub negotiation: Negotiation,
    pub keep_alive: Duration,
    pub bodies: Arc<Bodies>,
    /// Which addresses cards name.
    pub addresses: Arc<Addresses>,
    /// Since when cards are as they are.
    pub since: Arc<Since>,
}

/// Every route of an API node.
pub fn router(gate: Gate) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route(jwks::PATH, get(jwks::key_set))
        .route("/agents", get(http::log::agents))
        .route("/tasks/{task}/log", get(http::log::of_task))
        .route("/agents/{agent}", post(jsonrpc::for_agent))
        .route("/agents/{agent}/", post(jsonrpc::for_agent))
        .route("/agents/{agent}/a2a", post(jsonrpc::for_agent))
        .route("/agents/{agent}/a2a/", post(jsonrpc::for_agent));
    for root in ["/", "/a2a", "/a2a/"] {
        router = router.route(root, post(jsonrpc::for_root));
    }
    for name in ["agent-card.json", "agent.json"] {
        router = router
            .route(&format!("/.well-known/{name}"), get(card::of_root))
            .route(&format!("/agents/{{agent}}/.well-known/{name}"), get(card::of_agent));
    }
    router
        .fallback(http::answer)
        .method_not_allowed_fallback(http::not_so)
        .nest("/operator/v1", operator::router())
        .layer(from_fn_with_state(grpc::Services::new(gate.clone()), grpc::divert))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(gate.clone(), request::mark))
        .with_state(gate)
}

#[cfg(test)]
mod tests;
