//! The way of a request to what answers it. Calls, which are nearly all requests, go there directly; everything else goes
//! through the router, which knows the same addresses and answers the same.

use super::card::plain;
use super::{
    Gate, cors, grpc, http, jsonrpc,
    origin::{Admission, Foreign, OriginPolicy, is_document},
    request::Marks,
    router,
};
use crate::server::Answers;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::Response,
};
use futures::FutureExt;
use longhaul_proto::transport_error;
use longhaul_wire::error::OWN_DOMAIN;
use serde_json::{Value, json};
use std::{borrow::Cow, convert::Infallible, mem, panic::AssertUnwindSafe, sync::Arc};
use tonic::Code;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::{
    catch_panic::{DefaultResponseForPanic, ResponseForPanic},
    cors::CorsLayer,
};

/// The JSON-RPC code of what the caller may not do.
const FORBIDDEN: i32 = -32051;
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Answers every request.
#[derive(Clone)]
pub struct Front(Arc<Ways>);

struct Ways {
    gate: Gate,
    router: Router,
    origins: Arc<OriginPolicy>,
    cors: CorsLayer,
    /// The path of the public URL: some proxies leave it in front of paths, and others do not.
    prefix: Option<String>,
}

impl Front {
    /// With all routes.
    pub fn new(gate: Gate) -> Self {
        let options = &gate.service.options;
        let origins = Arc::new(OriginPolicy::new(!gate.authenticator.required(), options));
        let cors = cors::layer(Arc::clone(&origins));
        let prefix = options.public_url.as_deref().and_then(prefix);
        Self(Arc::new(Ways { router: router(gate.clone()), gate, origins, cors, prefix }))
    }

    /// Answers a request whose host and origin may be as they are.
    async fn route(&self, mut request: Request) -> Response {
        let place = match *request.method() {
            Method::POST => place(request.uri().path()),
            _ => Place::Elsewhere,
        };
        match place {
            Place::Root => self.call(None, request).await,
            Place::Agent(name) => {
                let name = name.to_owned();
                self.call(Some(name), request).await
            }
            Place::Elsewhere => {
                // A slash at the end means nothing.
                if let Some(path) = without_slash(request.uri().path()) {
                    let path = path.to_owned();
                    set_path(&mut request, &path);
                }
                self.0.router.answer(request).await
            }
        }
    }

    /// Answers a page that may read the answer.
    async fn share(&self, request: Request) -> Response {
        let front = self.clone();
        let routed = service_fn(move |request| {
            let front = front.clone();
            async move { Ok::<_, Infallible>(front.route(request).await) }
        });
        match self.0.cors.layer(routed).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn call(&self, agent: Option<String>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let marks = Marks::of(&self.0.gate, &parts.headers);
        let id = HeaderValue::from_str(&marks.request_id);
        let answer = jsonrpc::answer(&self.0.gate, marks, agent, parts, body);
        let mut response = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                DefaultResponseForPanic::default().response_for_panic(panic).map(Body::new)
            }
        };
        if let Ok(id) = id {
            response.headers_mut().insert("x-request-id", id);
        }
        // Last, as the router has it.
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        response
    }
}

impl Answers for Front {
    async fn answer(&self, mut request: Request) -> Response {
        if let Some(path) = self.0.prefix.as_deref().and_then(|p| behind(p, request.uri().path())) {
            let path = path.to_owned();
            set_path(&mut request, &path);
        }
        let (parts, body) = request.into_parts();
        let admission = match self.0.origins.check(&parts) {
            Ok(admission) => admission,
            Err(foreign) => return refuse(&foreign, &parts),
        };
        let is_document = parts.method != Method::POST && is_document(parts.uri.path());
        let request = Request::from_parts(parts, body);
        let mut response = match admission {
            Admission::Plain => self.route(request).await,
            // Apart, so that calls of others do not keep the room for it.
            Admission::Cors => Box::pin(self.share(request)).await,
        };
        if is_document {
            // Whoever asks: caches hand it on to pages of any origin.
            let any = HeaderValue::from_static("*");
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        response
    }
}

/// The path of a URL, unless paths that begin like it mean something else already.
fn prefix(url: &str) -> Option<String> {
    let (_, path) = url.split_once("://")?.1.split_once('/')?;
    let path = path.trim_end_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let is_free = first == "a2a" || !http::is_reserved(first);
    is_free.then(|| format!("/{path}"))
}

/// The path behind a prefix.
fn behind<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    match path.strip_prefix(prefix)? {
        "" => Some("/"),
        path => path.starts_with('/').then_some(path),
    }
}

/// The path without the slash at its end.
fn without_slash(path: &str) -> Option<&str> {
    path.strip_suffix('/').filter(|path| !path.is_empty())
}

/// Puts another path into the place of that of a request.
fn set_path(request: &mut Request, path: &str) {
    let target = match request.uri().query() {
        Some(query) => Cow::Owned(format!("{path}?{query}")),
        None => Cow::Borrowed(path),
    };
    // A part of a path is one, too.
    let Ok(target) = target.parse() else { return };
    let mut parts = mem::take(request.uri_mut()).into_parts();
    parts.path_and_query = Some(target);
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Refuses a request by where it is sent to or comes from, as the binding that it is meant for writes errors.
fn refuse(foreign: &Foreign, parts: &Parts) -> Response {
    let (reason, message) = (foreign.reason(), foreign.message());
    tracing::debug!(reason, "request rejected: {message}");
    if grpc::is_grpc(&parts.headers) {
        return transport_error(Code::PermissionDenied, reason, &message).into_http();
    }
    let path = parts.uri.path();
    let detail =
        json!({"@type": ERROR_INFO, "reason": reason, "domain": OWN_DOMAIN, "metadata": {}});
    let body: Value = if parts.method == Method::POST && place(path) != Place::Elsewhere {
        let error = json!({"code": FORBIDDEN, "message": message, "data": [detail]});
        json!({"jsonrpc": "2.0", "id": null, "error": error})
    } else if path.starts_with("/operator/") {
        json!({"error": {"code": "PERMISSION_DENIED", "message": message}})
    } else {
        let status = "PERMISSION_DENIED";
        json!({"error": {"code": 403, "status": status, "message": message, "details": [detail]}})
    };
    let mut response = plain(StatusCode::FORBIDDEN, &body);
    // What a page may be answered depends on it.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    response
}

/// Whom a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// Whoever is at the root.
    Root,
    /// The agent of this name.
    Agent(&'a str),
    /// It is no path of calls, or the router has to look at it more closely.
    Elsewhere,
}

fn place(path: &str) -> Place<'_> {
    if matches!(path, "/" | "/a2a" | "/a2a/") {
        return Place::Root;
    }
    let Some(rest) = path.strip_prefix("/agents/") else { return Place::Elsewhere };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let agent = rest.strip_suffix("/a2a").unwrap_or(rest);
    if agent.is_empty() || agent.contains(['/', '%']) {
        return Place::Elsewhere;
    }
    Place::Agent(agent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Node, sending};
    use axum::body::to_bytes;

    #[test]
    fn calls_are_told_from_other_requests_by_their_path() {
        for path in ["/", "/a2a", "/a2a/"] {
            assert_eq!(place(path), Place::Root, "{path}");
        }
        for path in ["/agents/x", "/agents/x/", "/agents/x/a2a", "/agents/x/a2a/"] {
            assert_eq!(place(path), Place::Agent("x"), "{path}");
        }
        let others = ["", "/agents", "/agents/", "/agents//a2a", "/agents/x/y", "/agents/x//"];
        for path in others.into_iter().chain(["/healthz", "/agents/%78", "//", "/a2a//"]) {
            assert_eq!(place(path), Place::Elsewhere, "{path}");
        }
    }

    #[tokio::test]
    async fn a_call_is_answered_as_the_router_answers_it() {
        let node = Node::start().await;
        let front = node.api.front();
        for path in ["/", "/agents/echo/a2a", "/agents/nobody", "/agents/%", "/agents/ab%63"] {
            for call in ["{}", "", &sending("SendMessage", "m"), &sending("Nothing", "m")] {
                let request = || {
                    Request::post(path)
                        .header("x-request-id", "mine")
                        .body(Body::from(call.to_owned()))
                        .unwrap()
                };
                let shown = async |response: Response| {
                    let (parts, body) = response.into_parts();
                    let headers: Vec<_> = parts.headers.into_iter().collect();
                    (parts.status, headers, to_bytes(body, 1 << 20).await.unwrap())
                };
                // The same message again is the same task.
                let routed = shown(front.0.router.answer(request()).await).await;
                assert_eq!(shown(front.answer(request()).await).await, routed, "{path} {call}");
            }
        }
    }
}
