//! Whether the node lives, and whether it can serve.

use super::Gate;
use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Everything that the node needs works, and it does not drain.
pub async fn ready(State(gate): State<Gate>) -> impl IntoResponse {
    let mut snapshot = gate.readiness.snapshot();
    snapshot.ready &= !gate.service.draining.is_cancelled();
    let status = if snapshot.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}
