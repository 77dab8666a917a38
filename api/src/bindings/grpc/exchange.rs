//! One call, from its headers to what the service of its dialect makes of its message.

use super::Services;
use crate::{
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
use longhaul_proto::{bounds::check_send, status};
use longhaul_wire::{Dialect, ProtocolError};
use std::sync::Arc;
use tower::ServiceExt;
use tracing::Instrument;

/// Bytes in front of a message: whether it is compressed, and its length.
const FRAME_HEAD: usize = 5;

impl Services {
    /// Answers a call of a service.
    pub(super) async fn exchange(&self, dialect: Dialect, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let marks = Marks::of_request(&self.0.gate, &parts);
        let span = marks.span();
        let answer = async {
            match self.admit(dialect, marks, &parts.headers, body).await {
                Ok((caller, body)) => self.call(dialect, caller, parts, body).await,
                Err(error) => {
                    tracing::debug!(%error, "refused");
                    status(dialect, &error).into_http()
                }
            }
        };
        answer.instrument(span).await
    }

    /// Who asks, and the message. Nobody who may not ask is read on.
    async fn admit(
        &self,
        dialect: Dialect,
        marks: Marks,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Caller, Bytes), ProtocolError> {
        let gate = &self.0.gate;
        let caller = caller(gate, headers, marks, None).await?;
        self.check_version(dialect, headers)?;
        let read = gate.bodies.read(body).await;
        let body = read.map_err(|unread| unread.refusal(gate.bodies.limit()).0)?;
        check_send(dialect, body.get(FRAME_HEAD..).unwrap_or_default())?;
        Ok((caller, body))
    }

    /// A version that is stated must be that of the service.
    fn check_version(&self, dialect: Dialect, headers: &HeaderMap) -> Result<(), ProtocolError> {
        let stated = stated_version(headers, None);
        let negotiation = self.0.gate.negotiation;
        let spoken = match dialect {
            Dialect::V1_0 => negotiation.v1_place(stated.as_deref())?,
            Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => {
                negotiation.v0_place(stated.as_deref())?
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
        let request = Request::from_parts(parts, Body::from(body));
        let answered = match dialect {
            Dialect::V1_0 => self.0.v1.clone().oneshot(request).await,
            Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => {
                self.0.v0.clone().oneshot(request).await
            }
        };
        let mut response = match answered {
            Ok(response) => keeping(response),
            Err(never) => match never {},
        };
        echo(&extensions, &asked, &mut response);
        response
    }
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
