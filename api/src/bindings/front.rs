//! The way of a request to what answers it. Calls, which are nearly all requests, go there directly; everything else goes
//! through the router, which knows the same addresses and answers the same.

use super::{Gate, jsonrpc, request::Marks, router};
use crate::server::Answers;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, header},
    response::Response,
};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc};
use tower_http::catch_panic::{DefaultResponseForPanic, ResponseForPanic};

/// Answers every request.
#[derive(Clone)]
pub struct Front(Arc<Ways>);

struct Ways {
    gate: Gate,
    router: Router,
}

impl Front {
    /// With all routes.
    pub fn new(gate: Gate) -> Self {
        Self(Arc::new(Ways { router: router(gate.clone()), gate }))
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
    async fn answer(&self, request: Request) -> Response {
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
            Place::Elsewhere => self.0.router.answer(request).await,
        }
    }
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
