//! The routes of an API node, and its liveness and readiness.

use super::{AppState, card, grpc, http, jsonrpc, operator, request};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::IntoResponse,
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

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
        // HTTP+JSON paths have optional prefixes, so its own table resolves them.
        .fallback(http::fallback)
        .method_not_allowed_fallback(http::method_not_allowed)
        .nest("/operator/v1", operator::router())
        // Before the routes: gRPC is recognised by content type, whatever its path.
        .layer(from_fn_with_state(grpc::GrpcServices::new(state.clone()), grpc::divert))
        // Inside of the request context, so that the response of a panic has a request id.
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
    // A draining node must get no further requests.
    snapshot.ready &= !state.service.draining.is_cancelled();
    let status = if snapshot.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}
