//! Answers of the operator API.

use crate::service::operate::Refusal;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use longhaul_wire::{ProtocolError, error::seconds, table::codes};
use serde::Serialize;
use serde_json::json;

/// An error, with the status that says the same.
#[derive(Debug)]
pub struct Failed {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
    challenge: Option<String>,
}

impl Failed {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message, retry_after: None, challenge: None }
    }

    /// The address knows another method.
    pub fn method() -> Self {
        let why = "this method is not known here; see the Allow header".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", why)
    }

    /// A body that was not read.
    pub fn body(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message.into())
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(why) => Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", why),
            Refusal::Invalid(why) => Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", why),
            Refusal::Conflict(why) => Self::new(StatusCode::CONFLICT, "CONFLICT", why),
            Refusal::Protocol(error) => error.into(),
        }
    }
}

impl From<ProtocolError> for Failed {
    fn from(error: ProtocolError) -> Self {
        let codes = codes(&error);
        let status = StatusCode::from_u16(codes.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = error.retry_after().map(seconds);
        let challenge = match &error {
            ProtocolError::Unauthenticated { challenge } => Some(challenge.clone()),
            _ => None,
        };
        let message = error.to_string();
        Self { retry_after, challenge, ..Self::new(status, codes.grpc.name(), message) }
    }
}

impl IntoResponse for Failed {
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

/// An answer.
pub fn ok(body: &impl Serialize) -> Response {
    with_status(StatusCode::OK, body)
}

/// An answer that something was made.
pub fn created(body: &impl Serialize) -> Response {
    with_status(StatusCode::CREATED, body)
}

fn with_status(status: StatusCode, body: &impl Serialize) -> Response {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
