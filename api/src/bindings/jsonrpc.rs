//! The JSON-RPC binding (A2A 9). Errors of streaming methods are plain JSON before the stream
//! begins.

use super::{
    AppState,
    perform::{self, OperationResponse, perform},
    request::{RequestContext, caller, cursor, echo, foreign_type, stated_version},
    response::{BudgetedBytes, encode_failed, set_error_headers},
    sse::{self, EventEnvelope},
};
use crate::{
    blocking::block_in_place_if_large,
    service::{Caller, EventStream},
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use longhaul_domain::line_separators::escape_line_separators;
use longhaul_wire::{
    Dialect, Operation, ProtocolError,
    jsonrpc::{RejectedCall, RpcCall, RpcId, read_call, write_error, write_result},
};
use tracing::Instrument;

/// Dialect of errors before the client's is known.
const DEFAULT_DIALECT: Dialect = Dialect::V1_0;

/// A call at the root.
pub async fn call_root(State(state): State<AppState>, request: Request) -> Response {
    handle_request(&state, None, request).await
}

/// A call at an agent's own address.
pub async fn call_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
    request: Request,
) -> Response {
    handle_request(&state, Some(agent), request).await
}

/// The result of a call, before it becomes a response.
enum CallAnswer {
    Body(BudgetedBytes),
    Stream(EventEnvelope, Box<EventStream>),
}

/// Answers a call whose address is known.
async fn handle_request(state: &AppState, agent: Option<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let context = RequestContext::from_request(state, &parts);
    handle_call(state, context, agent, parts, body).await
}

/// Answers a call in its request context.
pub async fn handle_call(
    state: &AppState,
    context: RequestContext,
    agent: Option<String>,
    parts: Parts,
    body: Body,
) -> Response {
    let span = context.span();
    let version = stated_version(&parts.headers, parts.uri.query());
    let exchange = RpcExchange { state, parts, version };
    exchange.answer(context, agent, body).instrument(span).await
}

struct RpcExchange<'a> {
    state: &'a AppState,
    parts: Parts,
    /// A2A version stated by the request.
    version: Option<String>,
}

impl RpcExchange<'_> {
    async fn answer(&self, context: RequestContext, agent: Option<String>, body: Body) -> Response {
        let caller = match caller(self.state, &self.parts.headers, context, agent.as_deref()).await
        {
            Ok(caller) => caller,
            Err(error) => return refuse(DEFAULT_DIALECT, &RpcId::null(), &error),
        };
        // Only after authentication: a caller without a key costs no memory.
        let body = match self.body(body).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
        let call = match block_in_place_if_large(body.len(), || read_call(&body)).await {
            Ok(call) => call,
            Err(RejectedCall { error: ProtocolError::ParseError(why), .. }) => {
                return refuse(DEFAULT_DIALECT, &RpcId::null(), &self.unreadable(why));
            }
            Err(RejectedCall { id, error }) => return refuse(DEFAULT_DIALECT, &id, &error),
        };
        let version = self.version.as_deref();
        let (negotiation, params) = (&self.state.negotiation, call.params());
        let negotiated = || negotiation.call(version, &call.method, params);
        let negotiated = block_in_place_if_large(params.get().len(), negotiated).await;
        let (dialect, operation) = match negotiated {
            Ok(negotiated) => negotiated,
            Err(error) => return refuse(DEFAULT_DIALECT, &call.id, &error),
        };
        let extensions = caller.extensions.clone();
        let mut response = match self.call(caller, &call, dialect, operation).await {
            Ok(CallAnswer::Body(written)) => json(StatusCode::OK, Bytes::from_owner(written)),
            Ok(CallAnswer::Stream(envelope, frames)) => {
                sse::response(*frames, self.state.keep_alive, envelope)
            }
            Err(error) => {
                let negotiation = self.state.negotiation;
                // Only an unusual task id may have made it a call of 0.1; a failed one is answered as 0.3.
                let dialect = negotiation.error_dialect(version, &call.method, dialect, &error);
                // Most errors have status 200; see `refuse`.
                let refusal = refuse(dialect, &call.id, &error);
                let is_stream = dialect != Dialect::V1_0 && operation.is_stream();
                return if is_stream && wants_events_only(&self.parts.headers) {
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
        let bodies = &self.state.bodies;
        let (error, status) = match bodies.read_plain(&self.parts.headers, body).await {
            Ok(body) => return Ok(body),
            Err(unread) => unread.refusal(bodies.limit()),
        };
        let mut response = refuse(DEFAULT_DIALECT, &RpcId::null(), &error);
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        Err(Box::new(response))
    }

    /// Error for a body that is not JSON, or was never meant to be.
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
        call: &RpcCall<'_>,
        dialect: Dialect,
        operation: Operation,
    ) -> Result<CallAnswer, ProtocolError> {
        let cursor = match operation {
            Operation::Subscribe => cursor(&self.parts.headers)?,
            _ => None,
        };
        if operation == Operation::ExtendedCard {
            caller.card_address = Some(self.state.addresses.card_address(&self.parts));
        }
        let request_id = caller.request_id.clone();
        let mut chosen = None;
        let read = || {
            let request = dialect.read(operation, call.params())?;
            chosen = request.client_task_id().map(str::to_owned);
            Ok(request)
        };
        let size = call.params().get().len();
        let operation_call = perform::OperationCall { dialect, operation, cursor, size };
        let performed = perform(self.state, caller, operation_call, read).await?;
        let written = match performed {
            OperationResponse::Stream(frames) => {
                let envelope = EventEnvelope::new(dialect, &call.id, chosen);
                return Ok(CallAnswer::Stream(envelope, frames));
            }
            OperationResponse::Complete(outcome, permit) => {
                let view = dialect.view(outcome.output()).with_client_task_id(chosen.as_deref());
                let bytes =
                    block_in_place_if_large(permit.bytes(), || write_result(&call.id, &view)).await;
                bytes.map(|bytes| BudgetedBytes::new(bytes, permit))
            }
        };
        written.map(CallAnswer::Body).map_err(|error| encode_failed(&error, request_id))
    }
}

/// An error as a response. Most are results with status 200; those that concern HTTP itself have
/// its status.
fn refuse(dialect: Dialect, id: &RpcId, error: &ProtocolError) -> Response {
    tracing::debug!(%error, "request refused");
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
    // Errors are plain text and can always be encoded.
    let mut response = json(status, write_error(dialect, id, error).unwrap_or_default());
    set_error_headers(error, response.headers_mut());
    response
}

/// True when the client accepts event streams and not JSON.
fn wants_events_only(headers: &HeaderMap) -> bool {
    let names = |media_type: &str| {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
        accepted.any(|accepted| accepted.contains(media_type))
    };
    names("text/event-stream") && !names("application/json")
}

/// An error as the only event of a stream. Clients before 1.0 read errors of a stream nowhere else,
/// unless the status shows one.
fn as_event(refusal: Response, dialect: Dialect, id: &RpcId, error: &ProtocolError) -> Response {
    if refusal.status() != StatusCode::OK {
        return refusal;
    }
    let mut event = b"data: ".to_vec();
    event.extend(escape_line_separators(write_error(dialect, id, error).unwrap_or_default()));
    event.extend(b"\n\n");
    sse::event_response(Body::from(event))
}

fn json(status: StatusCode, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
