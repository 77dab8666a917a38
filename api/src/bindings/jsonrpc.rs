//! The JSON-RPC binding (A2A 9). Errors of streaming methods are plain JSON before the stream begins.

use super::{
    Gate,
    body::Unread,
    pieces::Envelope,
    perform::{self, Performed, perform},
    request::{Marks, caller, cursor, echo, stated_version},
    sse::{self, Neglect},
};
use crate::service::{Caller, EventStream, Held};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Version, header, request::Parts},
    response::Response,
};
use longhaul_domain::AgentName;
use longhaul_wire::{
    Dialect, Operation, ProtocolError,
    error::seconds,
    jsonrpc::{Call, Id, Rejected, read_call, write_error, write_result},
};
use std::time::Duration;
use tracing::Instrument;

/// When to come back while too many large bodies are being read.
const BUSY: Duration = Duration::from_secs(5);

/// A call at the root.
pub async fn for_root(State(gate): State<Gate>, request: Request) -> Response {
    handle(&gate, None, request).await
}

/// A call at an agent's own address.
pub async fn for_agent(
    State(gate): State<Gate>,
    Path(agent): Path<String>,
    request: Request,
) -> Response {
    handle(&gate, Some(agent), request).await
}

/// An answer before it is bytes.
enum Answer {
    Body(Written),
    Stream(Dialect, Box<EventStream>),
}

/// An answer as bytes, with the room that it has: free when the last of them was handed over.
struct Written {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Answers a call whose address has been looked at.
async fn handle(gate: &Gate, agent: Option<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let marks = Marks::of_request(gate, &parts);
    answer(gate, marks, agent, parts, body).await
}

/// Answers a call that has its marks.
pub async fn answer(
    gate: &Gate,
    marks: Marks,
    agent: Option<String>,
    parts: Parts,
    body: Body,
) -> Response {
    let span = tracing::info_span!(
        "request",
        request_id = marks.request_id,
        trace_id = marks.trace.trace_id(),
        method = tracing::field::Empty,
        task_id = tracing::field::Empty,
    );
    longhaul_runtime::telemetry::continue_trace(&span, &marks.trace);
    let version = stated_version(&parts.headers, parts.uri.query());
    let protocol = parts.version;
    let exchange = Exchange { gate, headers: parts.headers, version, protocol };
    exchange.answer(marks, agent, body).instrument(span).await
}

struct Exchange<'a> {
    gate: &'a Gate,
    headers: HeaderMap,
    /// Of A2A, as the request states it.
    version: Option<String>,
    /// Of HTTP.
    protocol: Version,
}

impl Exchange<'_> {
    async fn answer(&self, marks: Marks, agent: Option<String>, body: Body) -> Response {
        let caller = match self.caller(marks, agent).await {
            Ok(caller) => caller,
            Err(error) => return refuse(&Id::null(), &error),
        };
        let body = match self.body(body).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
        let call = match read_call(&body) {
            Ok(call) => call,
            Err(Rejected { id, error }) => return refuse(&id, &error),
        };
        let extensions = caller.extensions;
        let mut response = match self.call(caller, &call).await {
            Ok(Answer::Body(written)) => json(StatusCode::OK, Bytes::from_owner(written)),
            Ok(Answer::Stream(dialect, frames)) => self.stream(&call.id, dialect, *frames),
            Err(error) => return refuse(&call.id, &error),
        };
        echo(extensions, &self.headers, &mut response);
        response
    }

    async fn body(&self, body: Body) -> Result<Bytes, Box<Response>> {
        let bodies = &self.gate.bodies;
        let unread = match bodies.read(body).await {
            Ok(body) => return Ok(body),
            Err(unread) => unread,
        };
        let (error, status) = match unread {
            Unread::TooLarge => (ProtocolError::TooLarge { limit: bodies.limit() as u64 }, None),
            Unread::TooSlow => {
                let why = "the body came too slowly; send it faster, or large files by URL";
                (ProtocolError::InvalidRequest(why.to_owned()), Some(StatusCode::REQUEST_TIMEOUT))
            }
            Unread::Busy => (ProtocolError::Unavailable { retry_after: BUSY }, None),
            Unread::Broken(error) => {
                tracing::debug!(%error, "a body broke off");
                let why = "the body broke off; send it again";
                (ProtocolError::InvalidRequest(why.to_owned()), Some(StatusCode::BAD_REQUEST))
            }
        };
        let mut response = refuse(&Id::null(), &error);
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        Err(Box::new(response))
    }

    async fn caller(&self, marks: Marks, agent: Option<String>) -> Result<Caller, ProtocolError> {
        let agent = agent.map(AgentName::new).transpose().map_err(|why| {
            ProtocolError::InvalidRequest(format!("the address does not name an agent: it {why}"))
        })?;
        caller(self.gate, &self.headers, marks, agent).await
    }

    async fn call(&self, caller: Caller, call: &Call<'_>) -> Result<Answer, ProtocolError> {
        let version = self.version.as_deref();
        let (dialect, operation) = 
            self.gate.negotiation.call(version, &call.method, call.params())?;
        let cursor = match operation {
            Operation::Subscribe => cursor(&self.headers)?,
            _ => None,
        };
        let request_id = caller.request_id.clone();
        let spoken = perform::Call { dialect, operation, cursor };
        let read = || dialect.read(operation, call.params());
        let written = match perform(self.gate, caller, spoken, read).await? {
            Performed::Stream(frames) => return Ok(Answer::Stream(dialect, frames)),
            Performed::Whole(outcome, held) => {
                write_result(&call.id, &dialect.view(outcome.output()))
                    .map(|bytes| Written { bytes, _held: held })
            }
        };
        written.map(Answer::Body).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written");
            ProtocolError::Internal { request_id }
        })
    }

    fn stream(&self, id: &Id, dialect: Dialect, frames: EventStream) -> Response {
        let neglect = match self.protocol {
            Version::HTTP_2 => Neglect::EndsStream,
            _ => Neglect::EndsConnection,
        };
        sse::response(frames, self.gate.keep_alive, Envelope::new(dialect, id), neglect)
    }
}

/// An error as a response. Most are answers and have status 200; those that concern HTTP itself say so there too.
fn refuse(id: &Id, error: &ProtocolError) -> Response {
    tracing::debug!(%error, "refused");
    let status = match error {
        ProtocolError::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
        ProtocolError::PermissionDenied { .. } => StatusCode::FORBIDDEN,
        ProtocolError::ResourceExhausted { .. } => StatusCode::TOO_MANY_REQUESTS,
        ProtocolError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        ProtocolError::TaskNotFound { .. }
        | ProtocolError::TaskNotCancelable { .. }
        | ProtocolError::PushNotificationNotSupported
        | ProtocolError::UnsupportedOperation(_)
        | ProtocolError::ContentTypeNotSupported { .. }
        | ProtocolError::InvalidAgentResponse(_)
        | ProtocolError::ExtendedAgentCardNotConfigured
        | ProtocolError::ExtensionSupportRequired { .. }
        | ProtocolError::VersionNotSupported { .. }
        | ProtocolError::ParseError(_)
        | ProtocolError::InvalidRequest(_)
        | ProtocolError::MethodNotFound(_)
        | ProtocolError::InvalidParams(_)
        | ProtocolError::TooLarge { .. }
        | ProtocolError::Internal { .. } => StatusCode::OK,
    };
    // An error holds text only and can always be written.
    let mut response = json(status, write_error(id, error).unwrap_or_default());
    let headers = response.headers_mut();
    if let ProtocolError::Unauthenticated { challenge } = error
        && let Ok(value) = HeaderValue::from_str(challenge)
    {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
    }
    response
}

fn json(status: StatusCode, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
