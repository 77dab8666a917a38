//! Responses of the operator API.

use crate::service::operate::OperatorError;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use longhaul_wire::{ProtocolError, error::retry_after_seconds, error_codes::codes};
use serde::Serialize;
use serde_json::json;

/// An error with its HTTP status.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
    challenge: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message, retry_after: None, challenge: None }
    }

    /// Error for a method that the path does not allow.
    pub fn method_not_allowed() -> Self {
        let why = "this method is not known here; see the Allow header".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", why)
    }

    /// Error for a body that was not read.
    pub fn body(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message.into())
    }
}

impl From<OperatorError> for ApiError {
    fn from(refusal: OperatorError) -> Self {
        match refusal {
            OperatorError::NotFound(why) => Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", why),
            OperatorError::Invalid(why) => {
                Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", why)
            }
            OperatorError::Conflict(why) => Self::new(StatusCode::CONFLICT, "CONFLICT", why),
            OperatorError::Protocol(error) => error.into(),
        }
    }
}

impl From<ProtocolError> for ApiError {
    fn from(error: ProtocolError) -> Self {
        let codes = codes(&error);
        let status = StatusCode::from_u16(codes.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = error.retry_after().map(retry_after_seconds);
        let challenge = match &error {
            ProtocolError::Unauthenticated { challenge } => Some(challenge.clone()),
            _ => None,
        };
        let message = error.to_string();
        Self { retry_after, challenge, ..Self::new(status, codes.grpc.name(), message) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = with_status(self.status, &body);
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if let Some(challenge) = self.challenge.and_then(|c| HeaderValue::from_str(&c).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A response with status 200.
pub fn ok(body: &impl Serialize) -> Response {
    with_status(StatusCode::OK, body)
}

/// A response with status 201.
pub fn created(body: &impl Serialize) -> Response {
    with_status(StatusCode::CREATED, body)
}

fn with_status(status: StatusCode, body: &impl Serialize) -> Response {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::error!(%error, "response encoding failed");
            // Without a body: encoding an error might fail as well.
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
