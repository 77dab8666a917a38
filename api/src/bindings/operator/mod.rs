//! The operator API: JSON over HTTP, for whoever runs the deployment. It sees every owner, so it asks for a scope of its
//! own. Errors are `{"error": {"code", "message"}}` with the status that says the same.

mod answer;
mod dead;
mod input;
mod schedules;
#[cfg(test)]
mod tests;
mod views;

use super::{
    Gate,
    request::{Marks, caller},
};
use crate::service::{Caller, operate::Refusal};
use answer::{Failed, ok};
use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
    routing::{get, post},
};
use longhaul_domain::Scope;
use longhaul_wire::ProtocolError;
use serde_json::json;

type Answer = Result<Response, Failed>;

/// Every route, below the place of this API.
pub fn router() -> Router<Gate> {
    Router::new()
        .route("/dead", get(dead::list))
        .route("/dead/redrive", post(dead::redrive_many))
        .route("/dead/{owner}/{task}", get(dead::show))
        .route("/dead/{owner}/{task}/redrive", post(dead::redrive))
        .route("/dead/{owner}/{task}/dismiss", post(dead::dismiss))
        .route("/queues", get(queues))
        .route("/workers", get(workers))
        .route("/schedules", get(schedules::list))
        .route(
            "/schedules/{owner}/{name}",
            get(schedules::show).put(schedules::put).delete(schedules::delete),
        )
        .route("/schedules/{owner}/{name}/pause", post(schedules::pause))
        .route("/schedules/{owner}/{name}/resume", post(schedules::resume))
        .route("/schedules/{owner}/{name}/fire", post(schedules::fire))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
}

/// Somebody who may operate the deployment.
pub struct Operator(pub Caller);

impl FromRequestParts<Gate> for Operator {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, gate: &Gate) -> Result<Self, Failed> {
        let marks = Marks::of_request(gate, parts);
        let caller = caller(gate, &parts.headers, marks, None).await?;
        let scope = Scope::Operator;
        if caller.principal.scopes.allows(scope) {
            Ok(Self(caller))
        } else {
            Err(ProtocolError::PermissionDenied { scope }.into())
        }
    }
}

async fn queues(State(gate): State<Gate>, Operator(caller): Operator) -> Answer {
    let queues = gate.service.queues(&caller).await?;
    Ok(ok(&json!({"queues": queues.iter().map(views::queue).collect::<Vec<_>>()})))
}

async fn workers(State(gate): State<Gate>, Operator(caller): Operator) -> Answer {
    let workers = gate.service.workers(&caller).await?;
    Ok(ok(&json!({"workers": workers.iter().map(views::worker).collect::<Vec<_>>()})))
}

async fn nowhere(_: Operator) -> Failed {
    Refusal::NotFound("there is nothing at this address of the operator API".to_owned()).into()
}

async fn not_so(_: Operator) -> Failed {
    Failed::method()
}
