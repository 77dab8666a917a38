//! One call, from its headers to what the service of its dialect makes of its message.

use super::{Services, deadline, framing, unimplemented};
use crate::{
    apart::{apart, begun_apart},
    bindings::request::{Marks, caller, echo, stated_version},
    service::{Caller, Held},
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

impl Services {
    /// Answers a call of a service.
    pub(super) async fn exchange(&self, dialect: Dialect, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let marks = Marks::of_request(&self.0.gate, &parts);
        let span = marks.span();
        let answer = async {
            let refused = |error: ProtocolError| {
                tracing::debug!(%error, "refused");
                status(dialect, &error).into_http()
            };
            let time = match deadline::of(&parts.headers) {
                Ok(time) => time,
                Err(error) => return refused(error),
            };
            if let Some(why) = framing::unknown_encoding(&parts.headers) {
                let mut response = unimplemented(&why);
                response.headers_mut().insert("grpc-accept-encoding", framing::ACCEPTED);
                return response;
            }
            let answer = async {
                match self.admit(dialect, marks, &parts, body).await {
                    Ok((caller, body)) => self.call(dialect, caller, parts, body).await,
                    Err(error) => refused(error),
                }
            };
            deadline::within(time, answer).await
        };
        answer.instrument(span).await
    }

    /// Who asks, and the message. Nobody who may not ask is read on.
    async fn admit(
        &self,
        dialect: Dialect,
        marks: Marks,
        parts: &Parts,
        body: Body,
    ) -> Result<(Caller, Bytes), ProtocolError> {
        let (gate, headers) = (&self.0.gate, &parts.headers);
        let mut caller = caller(gate, headers, marks, None).await?;
        self.check_version(dialect, headers)?;
        let read = gate.bodies.read(body).await;
        let body = read.map_err(|unread| unread.refusal(gate.bodies.limit()).0)?;
        let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
        if method.ends_with("AgentCard") {
            caller.card_address = Some(gate.addresses.of(parts));
        }
        let limit = gate.bodies.limit();
        // Only a compressed message may become larger than it came.
        let inflates = if body.first() == Some(&1) { limit } else { 0 };
        let body = apart(inflates, || framing::inflated(headers, body, limit)).await?;
        let message = framing::message(&body)?;
        apart(message.len(), || bounds::check(dialect, method, message)).await?;
        Ok((caller, body))
    }

    /// A version that is stated must be that of the service.
    fn check_version(&self, dialect: Dialect, headers: &HeaderMap) -> Result<(), ProtocolError> {
        let stated = stated_version(headers, None);
        let negotiation = self.0.gate.negotiation;
        let spoken = match dialect {
            Dialect::V1_0 => negotiation.for_v1_path(stated.as_deref())?,
            Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => {
                negotiation.for_v0_path(stated.as_deref())?
            }
        };
        if spoken == dialect {
            return Ok(());
        }
        Err(ProtocolError::VersionNotSupported {
            asked: spoken.version().to_owned(),
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
        let (asked, extensions) = (parts.headers.clone(), caller.extensions.clone());
        parts.extensions.insert(caller);
        // The message is not compressed any more.
        parts.headers.remove(framing::ENCODING);
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
        let answered = begun_apart(size, answer).await;
        let mut response = match answered {
            // The services say no more of a method that they do not have.
            Ok(response) if is_unknown(response.headers()) => {
                unimplemented("There is no such method. See those that reflection lists")
            }
            Ok(response) => keeping(response),
            Err(never) => match never {},
        };
        echo(&extensions, &asked, &mut response);
        response
    }
}

fn is_unknown(headers: &HeaderMap) -> bool {
    headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "12")
        && !headers.contains_key(Status::GRPC_MESSAGE)
}

/// Keeps the room of an answer until the last of its bytes was handed over.
fn keeping(mut response: axum::http::Response<tonic::body::Body>) -> Response {
    match response.extensions_mut().remove::<Arc<Held>>() {
        None => response.map(Body::new),
        Some(held) => response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let held = Arc::clone(&held);
                frame.map_data(|bytes| Bytes::from_owner(Kept { bytes, _held: held }))
            }))
        }),
    }
}

struct Kept {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
