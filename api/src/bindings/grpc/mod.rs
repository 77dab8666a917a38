//! The gRPC binding (A2A 10): 1.0 and 0.3, each a service of its own, on the port of everything else.
//!
//! A request is refused as early as elsewhere: who asks is found out before the body is read, and the body is bounded like that of any
//! other binding. Errors are statuses with details. A stream shows its cursor in the metadata of its events; one that breaks off goes on
//! from there by `last-event-id`, at any node. Health and reflection need no credentials: they tell nothing about anybody.

mod calls;
mod deadline;
mod exchange;
mod frames;
mod framing;
mod health;
mod v0;
mod v1;

use super::Gate;
use crate::server::Answers;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use calls::Calls;
use longhaul_proto::{pb, transport_error};
use longhaul_wire::Dialect;
use pb::{v0::a2a_service_server as old, v1::a2a_service_server as new};
use std::sync::Arc;
use tonic::Code;

/// The services of a node.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

struct Inner {
    gate: Gate,
    v1: new::A2aServiceServer<v1::Service>,
    v0: old::A2aServiceServer<v0::Service>,
    /// Health and reflection.
    about: Router,
}

impl Services {
    /// Those of a node.
    pub fn new(gate: Gate) -> Self {
        // Bodies are bounded before they get there.
        let v1 = new::A2aServiceServer::new(v1::Service(Calls::new(&gate, Dialect::V1_0)))
            .max_decoding_message_size(usize::MAX);
        let v0 = old::A2aServiceServer::new(v0::Service(Calls::new(&gate, Dialect::V0_3Proto)))
            .max_decoding_message_size(usize::MAX);
        let about = health::routes(&gate);
        Self(Arc::new(Inner { gate, v1, v0, about }))
    }

    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path();
        match path.strip_prefix('/').and_then(|path| path.split('/').next()) {
            Some(new::SERVICE_NAME) => self.exchange(Dialect::V1_0, request).await,
            Some(old::SERVICE_NAME) => self.exchange(Dialect::V0_3Proto, request).await,
            Some(name) if health::SERVICES.contains(&name) => self.0.about.answer(request).await,
            _ => unimplemented("There is no such service. See those that reflection lists"),
        }
    }
}

/// News that something is not offered here.
fn unimplemented(message: &str) -> Response {
    transport_error(Code::Unimplemented, "UNIMPLEMENTED", message).into_http()
}

/// The same where it is HTTP itself that is wrong.
fn not_so(status: StatusCode, message: &str) -> Response {
    let mut response = unimplemented(message);
    *response.status_mut() = status;
    response
}

/// What follows `application/grpc` in a content type: `None` where it is none of gRPC, or that of grpc-web, another protocol.
fn format(headers: &HeaderMap) -> Option<&[u8]> {
    let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let rest = kind.strip_prefix(b"application/grpc")?;
    matches!(rest, [] | [b'+' | b';', ..]).then_some(rest)
}

/// Tells requests of gRPC by their content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    format(headers).is_some()
}

/// Answers what is gRPC, whatever its path, and nothing else.
pub async fn divert(State(services): State<Services>, request: Request, next: Next) -> Response {
    let Some(format) = format(request.headers()) else { return next.run(request).await };
    if !matches!(format, [] | [b';', ..] | b"+proto") && !format.starts_with(b"+proto;") {
        let why = "Messages are protobuf here. Send application/grpc or application/grpc+proto";
        return not_so(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    if request.method() != Method::POST {
        let mut response = not_so(StatusCode::METHOD_NOT_ALLOWED, "Calls of gRPC are sent by POST");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    services.answer(request).await
}

#[cfg(test)]
mod tests;
