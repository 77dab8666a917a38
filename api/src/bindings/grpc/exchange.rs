//! One gRPC call: from its headers to the service of its dialect.

use super::{GrpcServices, deadline, framing, unimplemented};
use crate::{
    bindings::request::{RequestContext, caller, echo, stated_version},
    blocking::{block_in_place_if_large, first_poll_in_place_if_large},
    service::{BudgetPermit, Caller},
};
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, request::Parts},
    response::Response,
};
use http_body_util::BodyExt;
use longhaul_proto::{bounds, status};
use longhaul_wire::{Dialect, ProtocolError};
use std::sync::Arc;
use tonic::Status;
use tower::ServiceExt;
use tracing::Instrument;

impl GrpcServices {
    /// Answers a call of a service.
    pub(super) async fn exchange(&self, dialect: Dialect, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let context = RequestContext::from_request(&self.0.state, &parts);
        let span = context.span();
        let answer = async {
            let refused = |error: ProtocolError| {
                tracing::debug!(%error, "request refused");
                status(dialect, &error).into_http()
            };
            let time = match deadline::from_headers(&parts.headers) {
                Ok(time) => time,
                Err(error) => return refused(error),
            };
            if let Some(why) = framing::unknown_encoding(&parts.headers) {
                let mut response = unimplemented(&why);
                response.headers_mut().insert("grpc-accept-encoding", framing::ACCEPTED_ENCODINGS);
                return response;
            }
            let answer = async {
                match self.admit(dialect, context, &parts, body).await {
                    Ok((caller, body)) => self.call(dialect, caller, parts, body).await,
                    Err(error) => refused(error),
                }
            };
            deadline::within(time, answer).await
        };
        answer.instrument(span).await
    }

    /// Authenticates the caller, then reads and checks the message.
    async fn admit(
        &self,
        dialect: Dialect,
        context: RequestContext,
        parts: &Parts,
        body: Body,
    ) -> Result<(Caller, Bytes), ProtocolError> {
        let (state, headers) = (&self.0.state, &parts.headers);
        let mut caller = caller(state, headers, context, None).await?;
        // Before the body is read: a wrong version is refused at no cost.
        self.check_version(dialect, headers)?;
        let read = state.bodies.read(body).await;
        let body = read.map_err(|unread| unread.refusal(state.bodies.limit()).0)?;
        let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
        if method.ends_with("AgentCard") {
            caller.card_address = Some(state.addresses.card_address(parts));
        }
        let limit = state.bodies.limit();
        // Only a compressed message may become larger than it came.
        let inflates = if body.first() == Some(&1) { limit } else { 0 };
        let body =
            block_in_place_if_large(inflates, || framing::decompressed(headers, body, limit))
                .await?;
        let message = framing::message(&body)?;
        // Before decoding, which could take many times the bytes.
        block_in_place_if_large(message.len(), || bounds::check(dialect, method, message)).await?;
        Ok((caller, body))
    }

    /// Refuses a stated version that is not the service's.
    fn check_version(&self, dialect: Dialect, headers: &HeaderMap) -> Result<(), ProtocolError> {
        let version = stated_version(headers, None);
        let negotiation = self.0.state.negotiation;
        let stated_dialect = match dialect {
            Dialect::V1_0 => negotiation.for_v1_path(version.as_deref())?,
            Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => {
                negotiation.for_v0_path(version.as_deref())?
            }
        };
        if stated_dialect == dialect {
            return Ok(());
        }
        Err(ProtocolError::VersionNotSupported {
            asked: stated_dialect.version().to_owned(),
            supported: dialect.version(),
        })
    }

    async fn call(
        &self,
        dialect: Dialect,
        caller: Caller,
        mut parts: Parts,
        body: Bytes,
    ) -> Response {
        let (request_headers, extensions) = (parts.headers.clone(), caller.extensions.clone());
        parts.extensions.insert(caller);
        // The message is no longer compressed.
        parts.headers.remove(framing::ENCODING_HEADER);
        let size = body.len();
        let request = Request::from_parts(parts, Body::from(body));
        let answer = async {
            match dialect {
                Dialect::V1_0 => self.0.v1.clone().oneshot(request).await,
                Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => {
                    self.0.v0.clone().oneshot(request).await
                }
            }
        };
        let answered = first_poll_in_place_if_large(size, answer).await;
        let mut response = match answered {
            // Tonic answers an unknown method without a message.
            Ok(response) if is_unknown(response.headers()) => {
                unimplemented("There is no such method. See those that reflection lists")
            }
            Ok(response) => hold_budget(response),
            Err(never) => match never {},
        };
        echo(&extensions, &request_headers, &mut response);
        response
    }
}

fn is_unknown(headers: &HeaderMap) -> bool {
    headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "12")
        && !headers.contains_key(Status::GRPC_MESSAGE)
}

/// Holds the budget of a response until the last of its bytes was handed over.
fn hold_budget(mut response: axum::http::Response<tonic::body::Body>) -> Response {
    match response.extensions_mut().remove::<Arc<BudgetPermit>>() {
        None => response.map(Body::new),
        Some(permit) => response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let permit = Arc::clone(&permit);
                frame.map_data(|bytes| Bytes::from_owner(BudgetedFrame { bytes, _permit: permit }))
            }))
        }),
    }
}

struct BudgetedFrame {
    bytes: Bytes,
    _permit: Arc<BudgetPermit>,
}

impl AsRef<[u8]> for BudgetedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
