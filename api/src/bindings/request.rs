//! Everything that a request carries beside its body: caller, id, trace, version.

use super::AppState;
use crate::service::{ArtifactKeys, Caller, ClientRules, store_error};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use longhaul_domain::{AgentName, Seq};
use longhaul_runtime::{TraceContext, telemetry};
use longhaul_wire::{Dialect, Extensions, Operation, ProtocolError, extensions};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use tracing::Span;

/// Name of the header and the query parameter with the version.
const VERSION_NAME: &str = "a2a-version";

/// Content type that some command-line clients give every body.
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// Longest request id accepted from a client, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Id and trace of a request, known before anything else.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub request_id: String,
    pub trace: TraceContext,
}

impl RequestContext {
    /// The context that the router attached, or a new one.
    pub fn from_request(state: &AppState, parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::new(state, &parts.headers))
    }

    /// Uses the client's request id and trace, or creates them.
    pub fn new(state: &AppState, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let given = text("x-request-id").filter(|id| {
            !id.is_empty()
                && id.len() <= MAX_REQUEST_ID_BYTES
                && id.bytes().all(|b| b.is_ascii_graphic())
        });
        let ids = &*state.service.ids;
        let request_id = given.map_or_else(|| ids.uuid_v7().to_string(), str::to_owned);
        let trace = text("traceparent")
            .and_then(|parent| TraceContext::parse(parent, text("tracestate")).ok())
            .map_or_else(|| TraceContext::new_root(ids), |parent| parent.child(ids));
        Self { request_id, trace }
    }

    /// Span of the request, for logs and traces.
    pub fn span(&self) -> Span {
        let span = tracing::info_span!(
            "request",
            request_id = self.request_id,
            trace_id = self.trace.trace_id(),
            method = tracing::field::Empty,
            task_id = tracing::field::Empty,
        );
        telemetry::continue_trace(&span, &self.trace);
        span
    }
}

/// Attaches a context to every request, and its request id to the response.
pub async fn attach_context(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = RequestContext::new(&state, request.headers());
    let id = HeaderValue::from_str(&context.request_id);
    request.extensions_mut().insert(context);
    let mut response = next.run(request).await;
    if let Ok(id) = id {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Authenticates the caller. `agent` is the name in the address.
pub async fn caller(
    state: &AppState,
    headers: &HeaderMap,
    context: RequestContext,
    agent: Option<&str>,
) -> Result<Caller, ProtocolError> {
    let agent = agent.map(AgentName::unreserved).transpose().map_err(|why| {
        ProtocolError::InvalidRequest(format!("the address does not name an agent: it {why}"))
    })?;
    let RequestContext { request_id, trace } = context;
    let who = state.authenticator.authenticate(headers).await;
    let who = who.map_err(|error| store_error(&request_id, &error))?;
    // The scheme's challenge tells how to authenticate.
    let principal = who.ok_or_else(|| ProtocolError::Unauthenticated {
        challenge: state.authenticator.challenge(headers).to_owned(),
    })?;
    let extensions = activated(headers);
    // Replaced once the dialect is known.
    let rules = client_rules(Dialect::V1_0);
    let card_address = None;
    Ok(Caller { principal, agent, request_id, trace, extensions, rules, card_address })
}

/// The rules of a dialect.
pub const fn client_rules(dialect: Dialect) -> ClientRules {
    ClientRules {
        ends: dialect.wait_end(),
        replies: dialect.supports_direct_replies(),
        ended_shown: dialect.shows_ended_tasks(),
        names_tasks: dialect.clients_choose_ids(),
        history: if dialect.shows_history() { None } else { Some(0) },
        artifacts: if dialect.indexes_artifacts() {
            ArtifactKeys::ByPosition
        } else {
            ArtifactKeys::ById
        },
    }
}

/// Extensions that a request activates, under either name of the header.
fn activated(headers: &HeaderMap) -> Extensions {
    let values = [extensions::EXTENSIONS_HEADER, extensions::LEGACY_EXTENSIONS_HEADER]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok());
    Extensions::read(values)
}

/// Names the extensions in effect in a response.
pub fn echo(extensions: &Extensions, asked: &HeaderMap, response: &mut Response) {
    let Some(value) = extensions.value().and_then(|v| HeaderValue::from_str(&v).ok()) else {
        return;
    };
    // A client that uses the older header name expects the answer under it.
    for name in ["a2a-extensions", "x-a2a-extensions"] {
        if asked.contains_key(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
}

/// Refuses an operation outside the caller's scopes.
pub fn check_scope(caller: &Caller, operation: Operation) -> Result<(), ProtocolError> {
    let scope = operation.scope();
    if caller.principal.scopes.allows(scope) {
        Ok(())
    } else {
        Err(ProtocolError::PermissionDenied { scope })
    }
}

/// Adds the agent named by a tenant (A2A 4.4.6). Address and tenant must agree.
pub fn with_tenant(mut caller: Caller, tenant: Option<&str>) -> Result<Caller, ProtocolError> {
    let Some(tenant) = tenant.filter(|tenant| !tenant.is_empty()) else { return Ok(caller) };
    let name = AgentName::unreserved(tenant).map_err(|why| {
        ProtocolError::invalid("tenant", format!("is not an agent's name: it {why}"))
    })?;
    if caller.agent.as_ref().is_some_and(|agent| *agent != name) {
        return Err(ProtocolError::invalid(
            "tenant",
            "names another agent than the address; use one of the two",
        ));
    }
    caller.agent = Some(name);
    Ok(caller)
}

/// Content type of the body if it is not JSON. Clients that state none, or a wrong one, mostly mean
/// JSON.
pub fn foreign_type(headers: &HeaderMap) -> Option<String> {
    let stated = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = stated.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence.is_empty() || essence.ends_with("/json") || essence.ends_with("+json");
    (!json).then_some(essence)
}

/// Content type of a body that is therefore refused. Command-line clients call every body a form;
/// one that begins like a JSON object is not.
pub fn refused_type(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    foreign_type(headers).filter(|stated| {
        let empty = body.is_empty();
        !empty && (stated != FORM_TYPE || !body.trim_ascii_start().starts_with(b"{"))
    })
}

/// Cursor of a reconnecting client: the id of the last event that it has.
pub fn cursor(headers: &HeaderMap) -> Result<Option<Seq>, ProtocolError> {
    let Some(value) = headers.get_all("last-event-id").iter().next_back() else { return Ok(None) };
    let text = value.to_str().unwrap_or("unreadable").trim();
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seq) if digits => Ok(Some(Seq(seq))),
        _ => Err(ProtocolError::invalid(
            "Last-Event-ID",
            "is not an event id of this server; send the id of the last event received",
        )),
    }
}

/// Protocol version stated in the header, or else in the query. An empty one counts as absent, and
/// of several the last counts.
pub fn stated_version(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    // Text that is not UTF-8 is refused as an unknown version.
    let said = |value: &HeaderValue| value.to_str().unwrap_or("unreadable").to_owned();
    let in_header = headers.get_all(VERSION_NAME).iter().map(said);
    let in_query = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        decoded(name).eq_ignore_ascii_case(VERSION_NAME).then(|| decoded(value).into_owned())
    });
    last_said(in_header).or_else(|| last_said(in_query))
}

fn last_said(stated: impl Iterator<Item = String>) -> Option<String> {
    stated.filter(|version| !version.trim().is_empty()).last()
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(named: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(named, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_version_is_in_the_header_or_the_query() {
        for (in_header, query, stated) in [
            (&[][..], Some("x=1&A2A-Version=1.0"), Some("1.0")),
            (&["0.3"], Some("A2A-Version=1.0"), Some("0.3")),
            (&[], None, None),
            (&[], Some("a2a%2Dversion=%30.3&y"), Some("0.3")),
            (&[""], Some("A2A-Version=9"), Some("9")),
            (&[], Some("A2A-Version=1.0&A2A-Version=0.3&A2A-Version="), Some("0.3")),
            (&["1.0", "0.3"], None, Some("0.3")),
            (&[], Some("A2A-Version=+1.0"), Some("+1.0")),
        ] {
            let read = stated_version(&headers(VERSION_NAME, in_header), query);
            assert_eq!(read.as_deref(), stated, "{in_header:?} {query:?}");
        }
    }

    #[test]
    fn a_cursor_is_a_decimal_number() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("last-event-id", HeaderValue::from_bytes(value).unwrap());
            }
            cursor(&headers)
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b" "]), Ok(None));
        assert_eq!(read(&[b" 7 "]), Ok(Some(Seq(7))));
        assert_eq!(read(&[b"7", b"8"]), Ok(Some(Seq(8))));
        for wrong in ["+1", "-1", "x", "1.0", "\u{661}", "99999999999999999999"] {
            assert!(read(&[wrong.as_bytes()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_json_object_that_is_called_a_form_is_read() {
        for (stated, body, refused) in [
            (FORM_TYPE, " {\"a\":1}", false),
            (FORM_TYPE, "a=1", true),
            (FORM_TYPE, "", false),
            ("text/plain", "{}", true),
            ("application/json", "{}", false),
        ] {
            let headers = headers("content-type", &[stated]);
            let read = refused_type(&headers, body.as_bytes());
            assert_eq!(read.is_some(), refused, "{stated} {body}");
        }
    }
}
