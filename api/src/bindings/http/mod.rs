//! The HTTP+JSON binding (A2A 11): operations have methods and paths, errors have statuses. An
//! error before a stream begins is plain JSON with its status; a stream's events have no envelope.
//!
//! All paths are in [`routes`].

pub mod log;
mod params;
mod path;
mod reply;
mod routes;
#[cfg(test)]
mod tests;

use super::{
    AppState,
    card::{self, keep_private},
    perform::{self, OperationResponse, perform},
    request::{RequestContext, caller, cursor, echo, refused_type, stated_version, with_tenant},
    response::{BudgetedBytes, encode_failed},
    sse::{self, EventEnvelope},
};
use crate::{
    blocking::block_in_place_if_large,
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
use path::RequestTarget;
pub use path::is_reserved;
use reply::{CONTENT_TYPES, HttpReply};
use routes::RouteVersion;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tracing::Instrument;

/// Handles every request without another route.
pub async fn fallback(State(state): State<AppState>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if matches!(parts.method, Method::GET | Method::HEAD)
        && let Some(target) = path::card(parts.uri.path())
    {
        return card::at_address(&state, &parts, target.agent).await;
    }
    let context = RequestContext::from_request(&state, &parts);
    let span = context.span();
    let exchange = HttpExchange { state: &state, parts: &parts };
    exchange.answer(context, body).instrument(span).await
}

/// Refuses a method that the path does not allow; the router adds `Allow`.
pub async fn method_not_allowed(headers: HeaderMap) -> Response {
    let why = "This method is not possible at this address. See the Allow header; JSON-RPC is called by POST";
    HttpReply::new(Dialect::V1_0, &headers).method_not_allowed(why)
}

/// A refusal, with an HTTP status if that is more precise than the error's own.
struct HttpRefusal(ProtocolError, Option<StatusCode>);

impl From<ProtocolError> for HttpRefusal {
    fn from(error: ProtocolError) -> Self {
        Self(error, None)
    }
}

struct HttpExchange<'a> {
    state: &'a AppState,
    parts: &'a Parts,
}

impl HttpExchange<'_> {
    async fn answer(&self, context: RequestContext, body: Body) -> Response {
        let headers = &self.parts.headers;
        let target = match path::find(&self.parts.method, self.parts.uri.path()) {
            Ok(target) => target,
            Err(error) => return HttpReply::new(Dialect::V1_0, headers).target_error(&error),
        };
        let dialect = self.dialect(target.route_version);
        let reply = HttpReply::new(dialect.as_ref().copied().unwrap_or(Dialect::V1_0), headers);
        match self.perform(context, dialect, target, body, reply).await {
            Ok(response) => response,
            Err(HttpRefusal(error, status)) => reply.refuse(&error, status),
        }
    }

    fn dialect(&self, route_version: RouteVersion) -> Result<Dialect, ProtocolError> {
        let version = stated_version(&self.parts.headers, self.parts.uri.query());
        let negotiation = self.state.negotiation;
        match route_version {
            RouteVersion::V1_0 | RouteVersion::Both => negotiation.for_v1_path(version.as_deref()),
            RouteVersion::V0_3 => negotiation.for_v0_path(version.as_deref()),
        }
    }

    async fn perform(
        &self,
        context: RequestContext,
        dialect: Result<Dialect, ProtocolError>,
        target: RequestTarget<'_>,
        body: Body,
        reply: HttpReply,
    ) -> Result<Response, HttpRefusal> {
        let RequestTarget { operation, mut ids, tenant, .. } = target;
        let mut caller = self.caller(context, target.agent.as_deref(), tenant.as_deref()).await?;
        if operation == Operation::ExtendedCard {
            caller.card_address = Some(self.state.addresses.card_address(self.parts));
        }
        let (extensions, request_id) = (caller.extensions.clone(), caller.request_id.clone());
        let dialect = dialect?;
        ids.extend(tenant.map(|tenant| ("tenant", tenant)));
        // Only after authentication: a caller without a key costs no memory.
        let body = self.body(body).await?;
        let files = self.files(dialect);
        let read = || {
            let mut request = dialect.read(operation, &self.params(body.as_deref(), &ids)?)?;
            files.decode_files(&mut request);
            Ok(request)
        };
        let cursor = match operation {
            Operation::Subscribe => cursor(&self.parts.headers)?,
            _ => None,
        };
        let size = body.as_ref().map_or(0, Bytes::len);
        let call = perform::OperationCall { dialect, operation, cursor, size };
        let mut response = match perform(self.state, caller, call, read).await? {
            OperationResponse::Stream(frames) if cursor.is_some() && self.is_exhausted(&frames) => {
                let mut response = Response::default();
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            OperationResponse::Stream(frames) => {
                self.stream(EventEnvelope::bare(dialect, files), *frames)
            }
            OperationResponse::Complete(outcome, permit) => {
                let view = dialect.view(outcome.output()).with_file_encoding(files);
                let bytes =
                    block_in_place_if_large(permit.bytes(), || encode(&view, request_id)).await?;
                reply.ok(Bytes::from_owner(BudgetedBytes::new(bytes, permit)))
            }
        };
        if operation == Operation::ExtendedCard {
            keep_private(response.headers_mut(), self.state);
        }
        echo(&extensions, &self.parts.headers, &mut response);
        Ok(response)
    }

    /// Authenticates the caller. Address and tenant must name the same agent.
    async fn caller(
        &self,
        context: RequestContext,
        agent: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<Caller, ProtocolError> {
        let caller = caller(self.state, &self.parts.headers, context, agent).await?;
        with_tenant(caller, tenant)
    }

    /// Reads the body, for methods that have one. A body that is declared as anything but JSON is
    /// refused.
    async fn body(&self, body: Body) -> Result<Option<Bytes>, HttpRefusal> {
        if self.parts.method != Method::POST {
            return Ok(None);
        }
        let bodies = &self.state.bodies;
        let read = bodies.read_plain(&self.parts.headers, body).await.map_err(|unread| {
            let (error, status) = unread.refusal(bodies.limit());
            HttpRefusal(error, status)
        })?;
        match refused_type(&self.parts.headers, &read) {
            Some(media_type) => {
                let accepted = CONTENT_TYPES.map(str::to_owned).to_vec();
                let error = ProtocolError::ContentTypeNotSupported { media_type, accepted };
                Err(HttpRefusal(error, Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)))
            }
            None => Ok(Some(read)),
        }
    }

    /// The parameters of the operation.
    fn params<'b>(
        &self,
        body: Option<&'b [u8]>,
        path_params: &params::PathParams<'_>,
    ) -> Result<Cow<'b, RawValue>, ProtocolError> {
        if let Some(body) = body {
            return params::from_body(body, path_params);
        }
        let query = self.parts.uri.query().unwrap_or_default();
        params::from_query(query, path_params).map(Cow::Owned)
    }

    /// Base64 encoding of files: in 0.3, clients differ.
    fn files(&self, dialect: Dialect) -> FileEncoding {
        match dialect {
            Dialect::V0_3Proto => {
                let agent = self.parts.headers.get(header::USER_AGENT);
                FileEncoding::from_user_agent(agent.and_then(|agent| agent.to_str().ok()))
            }
            Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_1 => FileEncoding::Once,
        }
    }

    /// True when a stream has nothing to send and never will. A browser's `EventSource` reconnects
    /// after every stream, with the id of the last event, until it gets 204 (WHATWG HTML, 9.2.3).
    fn is_exhausted(&self, frames: &EventStream) -> bool {
        self.parts.method == Method::GET && frames.is_exhausted()
    }

    fn stream(&self, envelope: EventEnvelope, frames: EventStream) -> Response {
        sse::response(frames, self.state.keep_alive, envelope)
    }
}

fn encode(view: &DialectView<'_>, request_id: String) -> Result<Vec<u8>, ProtocolError> {
    to_vec(view).map_err(|error| encode_failed(&error, request_id))
}
