//! The operator API: JSON over HTTP for those who run the deployment. It covers every owner, so it
//! requires its own scope. Errors are `{"error": {"code", "message"}}` with the matching status.

mod dead_letters;
mod input;
mod response;
mod schedules;
#[cfg(test)]
mod tests;
mod views;

use super::{
    AppState,
    request::{RequestContext, caller},
};
use crate::service::{Caller, operate::OperatorError};
use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
    routing::{get, post},
};
use longhaul_domain::Scope;
use longhaul_wire::{
    ProtocolError,
    operator::{QueueList, WorkerList},
};
use response::{ApiError, ok};

type ApiResult = Result<Response, ApiError>;

/// All routes, relative to the API's path.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/dead", get(dead_letters::list))
        .route("/dead/redrive", post(dead_letters::redrive_many))
        .route("/dead/{owner}/{task}", get(dead_letters::show))
        .route("/dead/{owner}/{task}/redrive", post(dead_letters::redrive))
        .route("/dead/{owner}/{task}/dismiss", post(dead_letters::dismiss))
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
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
}

/// A caller with the operator scope.
pub struct OperatorCaller(pub Caller);

impl FromRequestParts<AppState> for OperatorCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let context = RequestContext::from_request(state, parts);
        let caller = caller(state, &parts.headers, context, None).await?;
        let scope = Scope::Operator;
        if caller.principal.scopes.allows(scope) {
            Ok(Self(caller))
        } else {
            Err(ProtocolError::PermissionDenied { scope }.into())
        }
    }
}

async fn queues(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
) -> ApiResult {
    let queues = state.service.queues(&caller).await?;
    Ok(ok(&QueueList { queues: queues.iter().map(views::queue).collect() }))
}

async fn workers(
    State(state): State<AppState>,
    OperatorCaller(caller): OperatorCaller,
) -> ApiResult {
    let workers = state.service.workers(&caller).await?;
    Ok(ok(&WorkerList { workers: workers.iter().map(views::worker).collect() }))
}

async fn not_found(_: OperatorCaller) -> ApiError {
    OperatorError::NotFound("there is nothing at this address of the operator API".to_owned())
        .into()
}

async fn method_not_allowed(_: OperatorCaller) -> ApiError {
    ApiError::method_not_allowed()
}
