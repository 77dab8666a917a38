//! The HTTP+JSON binding (A2A 11): operations have methods and paths, errors have statuses. An error before a stream begins is
//! plain JSON with its status; a stream holds events without an envelope.
//!
//! What anything may be called is in [`routes`], and nowhere else.

pub mod log;
mod params;
mod path;
mod reply;
mod routes;
#[cfg(test)]
mod tests;

use super::{
    Gate,
    answer::{Written, unwritable},
    card::{self, keep_private},
    perform::{self, Performed, perform},
    pieces::Envelope,
    request::{Marks, caller, cursor, echo, refused_type, stated_version, with_tenant},
    sse,
};
use crate::{
    apart::apart,
    service::{Caller, EventStream},
};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::Response,
};
use longhaul_wire::{
    Dialect, DialectView, Operation, ProtocolError, v0::FileEncoding, write::to_vec,
};
use path::Asked;
pub use path::is_reserved;
use reply::{Reply, TYPES};
use routes::Of;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tracing::Instrument;

/// Answers whatever has no other route.
pub async fn answer(State(gate): State<Gate>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if matches!(parts.method, Method::GET | Method::HEAD)
        && let Some(place) = path::card(parts.uri.path())
    {
        return card::below(&gate, &parts, place.agent).await;
    }
    let marks = Marks::of_request(&gate, &parts);
    let span = marks.span();
    let exchange = Exchange { gate: &gate, parts: &parts };
    exchange.answer(marks, body).instrument(span).await
}

/// Refuses a method at an address of something else. The router says which methods it takes.
pub async fn not_so(headers: HeaderMap) -> Response {
    let why = "This method is not possible at this address. See the Allow header; JSON-RPC is called by POST";
    Reply::new(Dialect::V1_0, &headers).method(why)
}

/// Why there is no answer, and the status of HTTP where that of the error says less.
struct Refused(ProtocolError, Option<StatusCode>);

impl From<ProtocolError> for Refused {
    fn from(error: ProtocolError) -> Self {
        Self(error, None)
    }
}

struct Exchange<'a> {
    gate: &'a Gate,
    parts: &'a Parts,
}

impl Exchange<'_> {
    async fn answer(&self, marks: Marks, body: Body) -> Response {
        let headers = &self.parts.headers;
        let asked = match path::find(&self.parts.method, self.parts.uri.path()) {
            Ok(asked) => asked,
            Err(lost) => return Reply::new(Dialect::V1_0, headers).lost(&lost),
        };
        let spoken = self.dialect(asked.of);
        let reply = Reply::new(spoken.as_ref().copied().unwrap_or(Dialect::V1_0), headers);
        match self.perform(marks, spoken, asked, body, reply).await {
            Ok(response) => response,
            Err(Refused(error, status)) => reply.refuse(&error, status),
        }
    }

    fn dialect(&self, of: Of) -> Result<Dialect, ProtocolError> {
        let version = stated_version(&self.parts.headers, self.parts.uri.query());
        let negotiation = self.gate.negotiation;
        match of {
            Of::V1_0 | Of::Both => negotiation.for_v1_path(version.as_deref()),
            Of::V0_3 => negotiation.for_v0_path(version.as_deref()),
        }
    }

    async fn perform(
        &self,
        marks: Marks,
        spoken: Result<Dialect, ProtocolError>,
        asked: Asked<'_>,
        body: Body,
        reply: Reply,
    ) -> Result<Response, Refused> {
        let Asked { operation, mut ids, tenant, .. } = asked;
        let mut caller = self.caller(marks, asked.agent.as_deref(), tenant.as_deref()).await?;
        if operation == Operation::ExtendedCard {
            caller.card_address = Some(self.gate.addresses.of(self.parts));
        }
        let (extensions, request_id) = (caller.extensions.clone(), caller.request_id.clone());
        let dialect = spoken?;
        ids.extend(tenant.map(|tenant| ("tenant", tenant)));
        let body = self.body(body).await?;
        let files = self.files(dialect);
        let read = || {
            let mut request = dialect.read(operation, &self.params(body.as_deref(), &ids)?)?;
            files.settle(&mut request);
            Ok(request)
        };
        let cursor = match operation {
            Operation::Subscribe => cursor(&self.parts.headers)?,
            _ => None,
        };
        let size = body.as_ref().map_or(0, Bytes::len);
        let call = perform::Call { dialect, operation, cursor, size };
        let mut response = match perform(self.gate, caller, call, read).await? {
            Performed::Stream(frames) if cursor.is_some() && self.ends_for_good(&frames) => {
                let mut response = Response::default();
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Performed::Stream(frames) => self.stream(Envelope::bare(dialect, files), *frames),
            Performed::Whole(outcome, held) => {
                let view = dialect.view(outcome.output()).files(files);
                let bytes = apart(held.bytes(), || written(&view, request_id)).await?;
                reply.ok(Bytes::from_owner(Written::new(bytes, held)))
            }
        };
        if operation == Operation::ExtendedCard {
            keep_private(response.headers_mut(), self.gate);
        }
        echo(&extensions, &self.parts.headers, &mut response);
        Ok(response)
    }

    /// Who asks, and whom: the address and the tenant name the same agent where both do.
    async fn caller(
        &self,
        marks: Marks,
        agent: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<Caller, ProtocolError> {
        let caller = caller(self.gate, &self.parts.headers, marks, agent).await?;
        with_tenant(caller, tenant)
    }

    /// The body, of a method that has one. What is said to be anything but JSON is not looked at.
    async fn body(&self, body: Body) -> Result<Option<Bytes>, Refused> {
        if self.parts.method != Method::POST {
            return Ok(None);
        }
        let bodies = &self.gate.bodies;
        let read = bodies.read_plain(&self.parts.headers, body).await.map_err(|unread| {
            let (error, status) = unread.refusal(bodies.limit());
            Refused(error, status)
        })?;
        match refused_type(&self.parts.headers, &read) {
            Some(media_type) => {
                let accepted = TYPES.map(str::to_owned).to_vec();
                let error = ProtocolError::ContentTypeNotSupported { media_type, accepted };
                Err(Refused(error, Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)))
            }
            None => Ok(Some(read)),
        }
    }

    /// What the operation is asked with.
    fn params<'b>(
        &self,
        body: Option<&'b [u8]>,
        placed: &params::Placed<'_>,
    ) -> Result<Cow<'b, RawValue>, ProtocolError> {
        if let Some(body) = body {
            return params::of_body(body, placed);
        }
        let query = self.parts.uri.query().unwrap_or_default();
        params::of_query(query, placed).map(Cow::Owned)
    }

    /// How often files are base64 on the wire: in 0.3, clients differ.
    fn files(&self, dialect: Dialect) -> FileEncoding {
        match dialect {
            Dialect::V0_3Proto => {
                let agent = self.parts.headers.get(header::USER_AGENT);
                FileEncoding::from_user_agent(agent.and_then(|agent| agent.to_str().ok()))
            }
            Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_1 => FileEncoding::Once,
        }
    }

    /// True when there is nothing to stream and never will be. A browser's `EventSource` connects again after every end of a stream, with
    /// the id of the last event, until it is told that there is no content (WHATWG HTML, 9.2.3).
    fn ends_for_good(&self, frames: &EventStream) -> bool {
        self.parts.method == Method::GET && frames.is_over()
    }

    fn stream(&self, envelope: Envelope, frames: EventStream) -> Response {
        sse::response(frames, self.gate.keep_alive, envelope)
    }
}

fn written(view: &DialectView<'_>, request_id: String) -> Result<Vec<u8>, ProtocolError> {
    to_vec(view).map_err(|error| unwritable(&error, request_id))
}
