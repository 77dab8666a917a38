//! Bindings: decode requests, call the service, encode results.

mod address;
mod body;
mod card;
mod card_format;
mod dispatcher;
mod forwarded;
mod grpc;
mod host;
mod http;
mod jsonrpc;
mod last_modified;
mod operator;
mod origin;
mod perform;
mod request;
mod response;
mod sse;

pub use address::Addresses;
pub use body::BodyReader;
pub use dispatcher::Dispatcher;
pub use forwarded::Peer;
pub use last_modified::LastModifiedTimes;
#[cfg(test)]
pub use request::client_rules;

use crate::{auth::Authenticator, service::Service};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::IntoResponse,
    routing::{get, post},
};
use longhaul_runtime::Readiness;
use longhaul_wire::Negotiation;
use std::{sync::Arc, time::Duration};
use tower_http::catch_panic::CatchPanicLayer;

/// State shared by all handlers.
#[derive(Clone)]
pub struct AppState {
    pub service: Arc<Service>,
    pub authenticator: Arc<dyn Authenticator>,
    pub readiness: Readiness,
    pub negotiation: Negotiation,
    pub keep_alive: Duration,
    pub bodies: Arc<BodyReader>,
    /// Chooses the address that a card names.
    pub addresses: Arc<Addresses>,
    /// Times since which cards are unchanged.
    pub last_modified: Arc<LastModifiedTimes>,
}

/// All routes of an API node.
pub fn router(state: AppState) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route(card::KEY_SET_PATH, get(card::key_set))
        .route("/agents", get(http::log::agents))
        .route("/tasks/{task}/log", get(http::log::task_log_page))
        .route("/agents/{agent}", post(jsonrpc::call_agent))
        .route("/agents/{agent}/", post(jsonrpc::call_agent))
        .route("/agents/{agent}/a2a", post(jsonrpc::call_agent))
        .route("/agents/{agent}/a2a/", post(jsonrpc::call_agent));
    for root in ["/", "/a2a", "/a2a/"] {
        router = router.route(root, post(jsonrpc::call_root));
    }
    for name in ["agent-card.json", "agent.json"] {
        router = router
            .route(&format!("/.well-known/{name}"), get(card::root_card))
            .route(&format!("/agents/{{agent}}/.well-known/{name}"), get(card::agent_card));
    }
    router
        .fallback(http::fallback)
        .method_not_allowed_fallback(http::method_not_allowed)
        .nest("/operator/v1", operator::router())
        .layer(from_fn_with_state(grpc::GrpcServices::new(state.clone()), grpc::divert))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(state.clone(), request::attach_context))
        .with_state(state)
}

/// Liveness: the process answers.
async fn live() -> &'static str {
    "ok\n"
}

/// Readiness: every dependency works, and the node is not draining.
async fn ready(State(state): State<AppState>) -> impl IntoResponse {
    let mut snapshot = state.readiness.snapshot();
    snapshot.ready &= !state.service.draining.is_cancelled();
    let status = if snapshot.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}

#[cfg(test)]
mod tests;
