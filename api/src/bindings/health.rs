//! Whether the node lives, and whether it can serve.

use super::Gate;
use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};

/// The process answers.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Everything that the node needs works, and it does not drain.
pub async fn ready(State(gate): State<Gate>) -> impl IntoResponse {
    let snapshot = gate.readiness.snapshot();
    let draining = gate.service.draining.is_cancelled();
    let status =
        if snapshot.ready && !draining { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}
