//! The gRPC binding (A2A 10): a service for 1.0 and one for 0.3, on the port of all other bindings.
//!
//! Callers are authenticated before the body is read, and the body is bounded as in other bindings.
//! Errors are statuses with details. Events carry their cursor in their metadata; a broken stream
//! is resumed by `last-event-id`, at any node. Health and reflection need no credentials: they
//! reveal nothing about owners.

mod calls;
mod deadline;
mod exchange;
mod frames;
mod framing;
mod health;
mod v0;
mod v1;

use super::AppState;
use crate::server::RequestHandler;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use calls::CallHandler;
use longhaul_proto::{pb, transport_error};
use longhaul_wire::Dialect;
use pb::{v0::a2a_service_server as old, v1::a2a_service_server as new};
use std::sync::Arc;
use tonic::Code;

/// The gRPC services of a node.
#[derive(Clone)]
pub struct GrpcServices(Arc<ServicesInner>);

struct ServicesInner {
    state: AppState,
    v1: new::A2aServiceServer<v1::ServiceV1>,
    v0: old::A2aServiceServer<v0::ServiceV0>,
    /// Health and reflection.
    about: Router,
}

impl GrpcServices {
    /// Creates the services.
    pub fn new(state: AppState) -> Self {
        // Bodies are bounded before they reach the services.
        let v1 = new::A2aServiceServer::new(v1::ServiceV1(CallHandler::new(&state, Dialect::V1_0)))
            .max_decoding_message_size(usize::MAX);
        let v0 =
            old::A2aServiceServer::new(v0::ServiceV0(CallHandler::new(&state, Dialect::V0_3Proto)))
                .max_decoding_message_size(usize::MAX);
        let about = health::routes(&state);
        Self(Arc::new(ServicesInner { state, v1, v0, about }))
    }

    async fn handle(&self, request: Request) -> Response {
        let path = request.uri().path();
        match path.strip_prefix('/').and_then(|path| path.split('/').next()) {
            Some(new::SERVICE_NAME) => self.exchange(Dialect::V1_0, request).await,
            Some(old::SERVICE_NAME) => self.exchange(Dialect::V0_3Proto, request).await,
            Some(name) if health::SERVICE_NAMES.contains(&name) => {
                self.0.about.handle(request).await
            }
            _ => unimplemented("There is no such service. See those that reflection lists"),
        }
    }
}

/// UNIMPLEMENTED with a message.
fn unimplemented(message: &str) -> Response {
    transport_error(Code::Unimplemented, "UNIMPLEMENTED", message).into_http()
}

/// The same with an HTTP status.
fn unimplemented_with_status(status: StatusCode, message: &str) -> Response {
    let mut response = unimplemented(message);
    *response.status_mut() = status;
    response
}

/// Suffix of the content type after `application/grpc`; `None` for other protocols, grpc-web among
/// them.
fn format(headers: &HeaderMap) -> Option<&[u8]> {
    let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let rest = kind.strip_prefix(b"application/grpc")?;
    matches!(rest, [] | [b'+' | b';', ..]).then_some(rest)
}

/// Recognises gRPC requests by their content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    format(headers).is_some()
}

/// Middleware that answers gRPC requests, whatever their path.
pub async fn divert(
    State(services): State<GrpcServices>,
    request: Request,
    next: Next,
) -> Response {
    let Some(format) = format(request.headers()) else { return next.run(request).await };
    if !matches!(format, [] | [b';', ..] | b"+proto") && !format.starts_with(b"+proto;") {
        let why = "Messages are protobuf here. Send application/grpc or application/grpc+proto";
        return unimplemented_with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    if request.method() != Method::POST {
        let mut response = unimplemented_with_status(
            StatusCode::METHOD_NOT_ALLOWED,
            "Calls of gRPC are sent by POST",
        );
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    services.handle(request).await
}

#[cfg(test)]
mod tests;
