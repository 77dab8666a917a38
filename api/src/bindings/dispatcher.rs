//! Dispatches requests. JSON-RPC calls, which are nearly all requests, skip the router; everything
//! else goes through it. The router knows the same paths and gives the same responses.

use super::{
    AppState,
    card::plain,
    grpc, http, jsonrpc,
    origin::{OriginCheck, OriginPolicy, OriginRejection, cors_layer, is_document},
    request::RequestContext,
    router::router,
};
use crate::server::RequestHandler;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::Response,
};
use futures::FutureExt;
use longhaul_proto::transport_error;
use longhaul_wire::error::LONGHAUL_DOMAIN;
use serde_json::{Value, json};
use std::{borrow::Cow, convert::Infallible, mem, panic::AssertUnwindSafe, sync::Arc};
use tonic::Code;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::{
    catch_panic::{DefaultResponseForPanic, ResponseForPanic},
    cors::CorsLayer,
};

/// JSON-RPC code of requests that are forbidden.
const FORBIDDEN_CODE: i32 = -32051;
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Handles every request.
#[derive(Clone)]
pub struct Dispatcher(Arc<DispatcherInner>);

struct DispatcherInner {
    state: AppState,
    router: Router,
    origins: Arc<OriginPolicy>,
    cors: CorsLayer,
    /// Path of the public URL, which some proxies leave in front of the request's path.
    prefix: Option<String>,
}

impl Dispatcher {
    /// Builds the router and the origin policy.
    pub fn new(state: AppState) -> Self {
        let options = &state.service.options;
        let origins = Arc::new(OriginPolicy::new(!state.authenticator.required(), options));
        let cors = cors_layer(Arc::clone(&origins));
        let prefix = options.public_url.as_deref().and_then(prefix);
        Self(Arc::new(DispatcherInner {
            router: router(state.clone()),
            state,
            origins,
            cors,
            prefix,
        }))
    }

    /// Handles a request whose host and origin are accepted.
    async fn dispatch(&self, mut request: Request) -> Response {
        let route = match *request.method() {
            Method::POST => route(request.uri().path()),
            _ => Route::Other,
        };
        match route {
            Route::Root => self.call(None, request).await,
            Route::Agent(name) => {
                let name = name.to_owned();
                self.call(Some(name), request).await
            }
            Route::Other => {
                // A trailing slash has no meaning.
                if let Some(path) = without_slash(request.uri().path()) {
                    let path = path.to_owned();
                    set_path(&mut request, &path);
                }
                self.0.router.handle(request).await
            }
        }
    }

    /// Handles a request of a page that may read the response.
    async fn dispatch_cors(&self, request: Request) -> Response {
        let dispatcher = self.clone();
        let routed = service_fn(move |request| {
            let dispatcher = dispatcher.clone();
            async move { Ok::<_, Infallible>(dispatcher.dispatch(request).await) }
        });
        match self.0.cors.layer(routed).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn call(&self, agent: Option<String>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let context = RequestContext::new(&self.0.state, &parts.headers);
        let id = HeaderValue::from_str(&context.request_id);
        let answer = jsonrpc::handle_call(&self.0.state, context, agent, parts, body);
        // The router has a layer for panics, which calls skip.
        let mut response = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                DefaultResponseForPanic::default().response_for_panic(panic).map(Body::new)
            }
        };
        if let Ok(id) = id {
            response.headers_mut().insert("x-request-id", id);
        }
        // Set last, as the router does.
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        response
    }
}

impl RequestHandler for Dispatcher {
    async fn handle(&self, mut request: Request) -> Response {
        if let Some(path) = self.0.prefix.as_deref().and_then(|p| behind(p, request.uri().path())) {
            let path = path.to_owned();
            set_path(&mut request, &path);
        }
        let (parts, body) = request.into_parts();
        let admission = match self.0.origins.check(&parts) {
            Ok(admission) => admission,
            Err(rejection) => return refuse(&rejection, &parts),
        };
        // A POST does not fetch the document.
        let is_document = parts.method != Method::POST && is_document(parts.uri.path());
        let request = Request::from_parts(parts, body);
        let mut response = match admission {
            OriginCheck::Plain => self.dispatch(request).await,
            // Boxed, so that other calls do not pay for the memory of its future.
            OriginCheck::Cors => Box::pin(self.dispatch_cors(request)).await,
        };
        if is_document {
            // For every request: caches serve the response to pages of any origin.
            let any = HeaderValue::from_static("*");
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        response
    }
}

/// Path of a URL, unless its first segment has a meaning of its own.
fn prefix(url: &str) -> Option<String> {
    let (_, path) = url.split_once("://")?.1.split_once('/')?;
    let path = path.trim_end_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let is_free = first == "a2a" || !http::is_reserved(first);
    is_free.then(|| format!("/{path}"))
}

/// The path after a prefix.
fn behind<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    match path.strip_prefix(prefix)? {
        "" => Some("/"),
        path => path.starts_with('/').then_some(path),
    }
}

/// The path without a trailing slash.
fn without_slash(path: &str) -> Option<&str> {
    path.strip_suffix('/').filter(|path| !path.is_empty())
}

/// Replaces the path of a request.
fn set_path(request: &mut Request, path: &str) {
    let target = match request.uri().query() {
        Some(query) => Cow::Owned(format!("{path}?{query}")),
        None => Cow::Borrowed(path),
    };
    // Part of a valid path is valid.
    let Ok(target) = target.parse() else { return };
    let mut parts = mem::take(request.uri_mut()).into_parts();
    parts.path_and_query = Some(target);
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Rejects a request for its host or origin, with an error in the form of its binding.
fn refuse(rejection: &OriginRejection, parts: &Parts) -> Response {
    let (reason, message) = (rejection.reason(), rejection.message());
    tracing::debug!(reason, "request rejected: {message}");
    if grpc::is_grpc(&parts.headers) {
        return transport_error(Code::PermissionDenied, reason, &message).into_http();
    }
    let path = parts.uri.path();
    let detail =
        json!({"@type": ERROR_INFO, "reason": reason, "domain": LONGHAUL_DOMAIN, "metadata": {}});
    let body: Value = if parts.method == Method::POST && route(path) != Route::Other {
        let error = json!({"code": FORBIDDEN_CODE, "message": message, "data": [detail]});
        json!({"jsonrpc": "2.0", "id": null, "error": error})
    } else if path.starts_with("/operator/") {
        json!({"error": {"code": "PERMISSION_DENIED", "message": message}})
    } else {
        let status = "PERMISSION_DENIED";
        json!({"error": {"code": 403, "status": status, "message": message, "details": [detail]}})
    };
    let mut response = plain(StatusCode::FORBIDDEN, &body);
    // The response depends on the origin.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    response
}

/// Addressee of a JSON-RPC call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    /// The agent at the root.
    Root,
    /// The agent of this name.
    Agent(&'a str),
    /// Not a path of calls, or one that the router must decode.
    Other,
}

fn route(path: &str) -> Route<'_> {
    if matches!(path, "/" | "/a2a" | "/a2a/") {
        return Route::Root;
    }
    let Some(rest) = path.strip_prefix("/agents/") else { return Route::Other };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let agent = rest.strip_suffix("/a2a").unwrap_or(rest);
    if agent.is_empty() || agent.contains(['/', '%']) {
        return Route::Other;
    }
    Route::Agent(agent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Node, sending};
    use axum::body::to_bytes;

    #[test]
    fn calls_are_recognised_by_their_path() {
        for path in ["/", "/a2a", "/a2a/"] {
            assert_eq!(route(path), Route::Root, "{path}");
        }
        for path in ["/agents/x", "/agents/x/", "/agents/x/a2a", "/agents/x/a2a/"] {
            assert_eq!(route(path), Route::Agent("x"), "{path}");
        }
        let others = ["", "/agents", "/agents/", "/agents//a2a", "/agents/x/y", "/agents/x//"];
        for path in others.into_iter().chain(["/healthz", "/agents/%78", "//", "/a2a//"]) {
            assert_eq!(route(path), Route::Other, "{path}");
        }
    }

    #[tokio::test]
    async fn a_call_gets_the_same_response_as_from_the_router() {
        let node = Node::start().await;
        let dispatcher = node.api.dispatcher();
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
                // The same message again attaches to the same task.
                let routed = shown(dispatcher.0.router.handle(request()).await).await;
                assert_eq!(
                    shown(dispatcher.handle(request()).await).await,
                    routed,
                    "{path} {call}"
                );
            }
        }
    }
}
