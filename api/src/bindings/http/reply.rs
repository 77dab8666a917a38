//! HTTP responses: content type, and form of errors (A2A 11.1, 11.6).

use super::{path::TargetError, routes::listed};
use crate::bindings::response::set_error_headers;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use longhaul_wire::{Dialect, ProtocolError};
use serde_json::{Value, json};

const A2A_JSON: &str = "application/a2a+json";
const JSON: &str = "application/json";

/// Content types of bodies, in either direction.
pub const CONTENT_TYPES: [&str; 2] = [A2A_JSON, JSON];

/// Content type and dialect of a client's responses.
#[derive(Debug, Clone, Copy)]
pub struct HttpReply {
    dialect: Dialect,
    kind: &'static str,
}

impl HttpReply {
    /// The content type of the dialect, unless the client accepts only the other one.
    pub fn new(dialect: Dialect, request_headers: &HeaderMap) -> Self {
        let accepts = |kind: &str| {
            let values = request_headers.get_all(header::ACCEPT).iter();
            values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
                |range| {
                    let name = range.split(';').next().unwrap_or_default();
                    name.trim().eq_ignore_ascii_case(kind)
                },
            )
        };
        let (own, other) = match dialect {
            Dialect::V1_0 => (A2A_JSON, JSON),
            Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => (JSON, A2A_JSON),
        };
        let kind = if accepts(other) && !accepts(own) { other } else { own };
        Self { dialect, kind }
    }

    /// Plain JSON, for requests beyond A2A.
    pub const fn plain() -> Self {
        Self { dialect: Dialect::V1_0, kind: JSON }
    }

    /// A response with status 200.
    pub fn ok(self, body: impl Into<Body>) -> Response {
        self.with_status(StatusCode::OK, body)
    }

    /// An error; `status` overrides its own.
    pub fn refuse(self, error: &ProtocolError, status: Option<StatusCode>) -> Response {
        tracing::debug!(%error, "request refused");
        let own = StatusCode::from_u16(self.dialect.codes(error).http);
        let status = status.unwrap_or(own.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        let mut response = self.with_status(status, self.body(error, status));
        set_error_headers(error, response.headers_mut());
        response
    }

    /// Encodes an error. Version 0.3 does not define errors over HTTP; its clients recognise them
    /// by JSON-RPC code or by name, so both are added.
    fn body(self, error: &ProtocolError, status: StatusCode) -> Vec<u8> {
        let (dialect, codes) = (self.dialect, self.dialect.codes(error));
        // Errors are plain text and can always be encoded.
        let body = error.to_http_body_in(dialect).unwrap_or_default();
        // The usual case needs no second pass over the JSON.
        if dialect == Dialect::V1_0 && status == codes.http {
            return body;
        }
        let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
        body["error"]["code"] = status.as_u16().into();
        if dialect != Dialect::V1_0 {
            body["code"] = codes.json_rpc.into();
            body["type"] = error.name_in_0_3().into();
            body["message"] = dialect.message(error).into();
            if let Some(details) = body["error"].get("details").cloned() {
                body["data"] = details;
            }
        }
        body.to_string().into_bytes()
    }

    /// Error for a path without an operation.
    pub fn target_error(self, error: &TargetError) -> Response {
        match error {
            TargetError::Refused(error) => self.refuse(error, None),
            TargetError::NotFound => self.status(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                &format!(
                    "There is nothing at this address. HTTP+JSON has {}; the same under /v1 in 0.3, and each behind \
                     /{{tenant}} or /agents/{{agent}}. JSON-RPC is POST / and the card is GET \
                     /.well-known/agent-card.json",
                    listed()
                ),
            ),
            TargetError::Method(methods) => self.only_methods(methods),
        }
    }

    /// Error for a method, with the allowed ones.
    fn only_methods(self, methods: &[Method]) -> Response {
        let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let why = format!("This method is not possible at this address. It takes {allowed}");
        let mut response = self.method_not_allowed(&why);
        if let Ok(value) = HeaderValue::from_str(&allowed) {
            response.headers_mut().insert(header::ALLOW, value);
        }
        response
    }

    /// Error for a method that the path does not allow.
    pub fn method_not_allowed(self, why: &str) -> Response {
        self.status(StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED", why)
    }

    fn status(self, status: StatusCode, name: &str, message: &str) -> Response {
        let error = json!({"code": status.as_u16(), "status": name, "message": message});
        self.with_status(status, json!({"error": error}).to_string())
    }

    fn with_status(self, status: StatusCode, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let kind = HeaderValue::from_static(self.kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn the_content_type_follows_the_version_unless_only_the_other_is_accepted() {
        for (accept, of_1_0, of_0_3) in [
            ("*/*", A2A_JSON, JSON),
            ("text/event-stream", A2A_JSON, JSON),
            ("application/json", JSON, JSON),
            ("Application/JSON; q=0.5, text/plain, */*", JSON, JSON),
            ("application/a2a+json", A2A_JSON, A2A_JSON),
            ("application/a2a+json, application/json", A2A_JSON, JSON),
        ] {
            let headers = asking(accept);
            assert_eq!(HttpReply::new(Dialect::V1_0, &headers).kind, of_1_0, "{accept}");
            assert_eq!(HttpReply::new(Dialect::V0_3Proto, &headers).kind, of_0_3, "{accept}");
        }
    }
}
