//! The JSON-RPC binding (A2A 9). Errors of streaming methods are plain JSON before the stream begins.

use super::{
    Gate,
    answer::{Written, say, unwritable},
    perform::{self, Performed, perform},
    pieces::Envelope,
    request::{Marks, caller, cursor, echo, foreign_type, stated_version},
    sse,
};
use crate::{
    apart::apart,
    service::{Caller, EventStream},
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use longhaul_domain::line::escape_line_separators;
use longhaul_wire::{
    Dialect, Operation, ProtocolError,
    jsonrpc::{Call, RejectedCall, RpcId, read_call, write_error, write_result},
};
use tracing::Instrument;

/// How errors are written before it is known how the client speaks.
const UNKNOWN: Dialect = Dialect::V1_0;

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

/// An answer before it is a response.
enum Answer {
    Body(Written),
    Stream(Envelope, Box<EventStream>),
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
    let span = marks.span();
    let version = stated_version(&parts.headers, parts.uri.query());
    let exchange = Exchange { gate, parts, version };
    exchange.answer(marks, agent, body).instrument(span).await
}

struct Exchange<'a> {
    gate: &'a Gate,
    parts: Parts,
    /// Of A2A, as the request states it.
    version: Option<String>,
}

impl Exchange<'_> {
    async fn answer(&self, marks: Marks, agent: Option<String>, body: Body) -> Response {
        let caller = match caller(self.gate, &self.parts.headers, marks, agent.as_deref()).await {
            Ok(caller) => caller,
            Err(error) => return refuse(UNKNOWN, &RpcId::null(), &error),
        };
        let body = match self.body(body).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
        let call = match apart(body.len(), || read_call(&body)).await {
            Ok(call) => call,
            Err(RejectedCall { error: ProtocolError::ParseError(why), .. }) => {
                return refuse(UNKNOWN, &RpcId::null(), &self.unreadable(why));
            }
            Err(RejectedCall { id, error }) => return refuse(UNKNOWN, &id, &error),
        };
        let version = self.version.as_deref();
        let (negotiation, params) = (&self.gate.negotiation, call.params());
        let spoken = || negotiation.call(version, &call.method, params);
        let spoken = apart(params.get().len(), spoken).await;
        let (dialect, operation) = match spoken {
            Ok(spoken) => spoken,
            Err(error) => return refuse(UNKNOWN, &call.id, &error),
        };
        let extensions = caller.extensions.clone();
        let mut response = match self.call(caller, &call, dialect, operation).await {
            Ok(Answer::Body(written)) => json(StatusCode::OK, Bytes::from_owner(written)),
            Ok(Answer::Stream(envelope, frames)) => {
                sse::response(*frames, self.gate.keep_alive, envelope)
            }
            Err(error) => {
                let negotiation = self.gate.negotiation;
                let dialect = negotiation.error_dialect(version, &call.method, dialect, &error);
                let refusal = refuse(dialect, &call.id, &error);
                let streams = dialect != Dialect::V1_0 && operation.is_stream();
                return if streams && wants_events_only(&self.parts.headers) {
                    as_event(refusal, dialect, &call.id, &error)
                } else {
                    refusal
                };
            }
        };
        echo(&extensions, &self.parts.headers, &mut response);
        response
    }

    async fn body(&self, body: Body) -> Result<Bytes, Box<Response>> {
        let bodies = &self.gate.bodies;
        let (error, status) = match bodies.read_plain(&self.parts.headers, body).await {
            Ok(body) => return Ok(body),
            Err(unread) => unread.refusal(bodies.limit()),
        };
        let mut response = refuse(UNKNOWN, &RpcId::null(), &error);
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        Err(Box::new(response))
    }

    /// What is wrong with a body that is no JSON: that, or that it was never meant to be any.
    fn unreadable(&self, why: String) -> ProtocolError {
        match foreign_type(&self.parts.headers) {
            Some(media_type) => {
                let accepted = vec!["application/json".to_owned()];
                ProtocolError::ContentTypeNotSupported { media_type, accepted }
            }
            None => ProtocolError::ParseError(why),
        }
    }

    async fn call(
        &self,
        mut caller: Caller,
        call: &Call<'_>,
        dialect: Dialect,
        operation: Operation,
    ) -> Result<Answer, ProtocolError> {
        let cursor = match operation {
            Operation::Subscribe => cursor(&self.parts.headers)?,
            _ => None,
        };
        if operation == Operation::ExtendedCard {
            caller.card_address = Some(self.gate.addresses.of(&self.parts));
        }
        let request_id = caller.request_id.clone();
        let mut chosen = None;
        let read = || {
            let asked = dialect.read(operation, call.params())?;
            chosen = asked.client_task_id().map(str::to_owned);
            Ok(asked)
        };
        let size = call.params().get().len();
        let asked = perform::Call { dialect, operation, cursor, size };
        let performed = perform(self.gate, caller, asked, read).await?;
        let written = match performed {
            Performed::Stream(frames) => {
                let envelope = Envelope::new(dialect, &call.id, chosen);
                return Ok(Answer::Stream(envelope, frames));
            }
            Performed::Whole(outcome, held) => {
                let view = dialect.view(outcome.output()).with_client_task_id(chosen.as_deref());
                let bytes = apart(held.bytes(), || write_result(&call.id, &view)).await;
                bytes.map(|bytes| Written::new(bytes, held))
            }
        };
        written.map(Answer::Body).map_err(|error| unwritable(&error, request_id))
    }
}

/// An error as a response. Most are answers and have status 200; those that concern HTTP itself say so there too.
fn refuse(dialect: Dialect, id: &RpcId, error: &ProtocolError) -> Response {
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
    let mut response = json(status, write_error(dialect, id, error).unwrap_or_default());
    say(error, response.headers_mut());
    response
}

/// Whether the client names events as what it takes, and not JSON.
fn wants_events_only(headers: &HeaderMap) -> bool {
    let names = |media_type: &str| {
        let mut wanted = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        wanted.any(|wanted| wanted.contains(media_type))
    };
    names("text/event-stream") && !names("application/json")
}

/// An error as the only event of a stream: clients before 1.0 that want a stream read errors nowhere else, unless the status
/// says that there is one.
fn as_event(refusal: Response, dialect: Dialect, id: &RpcId, error: &ProtocolError) -> Response {
    if refusal.status() != StatusCode::OK {
        return refusal;
    }
    let mut event = b"data: ".to_vec();
    event.extend(escape_line_separators(write_error(dialect, id, error).unwrap_or_default()));
    event.extend(b"\n\n");
    sse::of_events(Body::from(event))
}

fn json(status: StatusCode, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
