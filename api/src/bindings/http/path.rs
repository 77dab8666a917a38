//! Resolves a method and a path to an operation. An agent's address, a tenant and a version may
//! stand in front of the operation: `/agents/{agent}/a2a/{tenant}/v1/tasks`, each optional.
//!
//! Segments are decoded once, after the path was split: an encoded slash or colon is part of an id.

use super::routes::{MatchedRoute, OperationRoute, RouteVersion};
use axum::http::Method;
use longhaul_wire::{Operation, ProtocolError};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// First segments that are not tenants.
const RESERVED_SEGMENTS: [&str; 19] = [
    "",
    ".well-known",
    "a2a",
    "agents",
    "console",
    "executor",
    "explore",
    "extendedAgentCard",
    "healthz",
    "inbound",
    "mcp",
    "message:send",
    "message:stream",
    "metrics",
    "operator",
    "readyz",
    "search",
    "tasks",
    "v1",
];

/// Most segments of a path.
const MAX_SEGMENTS: usize = 10;

/// The operation that a request addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestTarget<'a> {
    /// Agent named by the address.
    pub agent: Option<Cow<'a, str>>,
    /// Tenant named by the path.
    pub tenant: Option<Cow<'a, str>>,
    /// Version whose path it is: 1.0 or 0.3.
    pub route_version: RouteVersion,
    pub operation: Operation,
    /// Ids by parameter name.
    pub ids: Vec<(&'static str, Cow<'a, str>)>,
}

/// The path addresses no operation.
#[derive(Debug, PartialEq, Eq)]
pub enum TargetError {
    /// No such path.
    NotFound,
    /// The path allows only these methods.
    Method(Vec<Method>),
    /// A segment is not valid UTF-8.
    Refused(ProtocolError),
}

/// Resolves a method and a path; HEAD counts as GET.
pub fn find<'a>(method: &Method, path: &'a str) -> Result<RequestTarget<'a>, TargetError> {
    let path = path.strip_prefix('/').ok_or(TargetError::NotFound)?;
    let segments: Vec<&str> = path.split('/').take(MAX_SEGMENTS + 1).collect();
    let (prefix, matched) = split_prefix(&segments).ok_or(TargetError::NotFound)?;
    let wanted_method = if method == Method::HEAD { &Method::GET } else { method };
    // The path is known; the method may still be wrong.
    let route: &OperationRoute = match matched.routes().find(|route| route.method == *wanted_method)
    {
        Some(route) => route,
        None => return Err(TargetError::Method(methods(&matched))),
    };
    let text = |name, raw| decoded(name, raw).map_err(TargetError::Refused);
    let tenant = prefix.tenant.map(|raw| text("tenant", raw)).transpose()?;
    // Checked after decoding, too: an encoded reserved word is one.
    if tenant.as_deref().is_some_and(|tenant| RESERVED_SEGMENTS.contains(&tenant)) {
        return Err(TargetError::NotFound);
    }
    let ids = matched.ids.iter().map(|(name, raw)| Ok((*name, text(name, raw)?)));
    Ok(RequestTarget {
        agent: prefix.agent.map(|raw| text("agent", raw)).transpose()?,
        tenant,
        route_version: prefix.route_version,
        operation: route.operation,
        ids: ids.collect::<Result<_, TargetError>>()?,
    })
}

/// The part of a path before the operation.
struct TargetPrefix<'a> {
    agent: Option<&'a str>,
    tenant: Option<&'a str>,
    route_version: RouteVersion,
}

fn split_prefix<'a>(segments: &[&'a str]) -> Option<(TargetPrefix<'a>, MatchedRoute<'a>)> {
    let (agent, rest) = agent(segments);
    let (tenant, rest) = match rest {
        [first, rest @ ..] if !rest.is_empty() && !RESERVED_SEGMENTS.contains(first) => {
            (Some(*first), rest)
        }
        rest => (None, rest),
    };
    let (route_version, rest) = match rest.strip_prefix(&["v1"]) {
        Some(rest) => (RouteVersion::V0_3, rest),
        None => (RouteVersion::V1_0, rest),
    };
    Some((TargetPrefix { agent, tenant, route_version }, MatchedRoute::find(route_version, rest)?))
}

/// The agent in front, and the rest of the path.
fn agent<'a, 's>(segments: &'s [&'a str]) -> (Option<&'a str>, &'s [&'a str]) {
    let (agent, rest) = match segments {
        ["agents", agent, rest @ ..] if !agent.is_empty() => (Some(*agent), rest),
        rest => (None, rest),
    };
    let rest = rest.strip_prefix(&["a2a"]).unwrap_or(rest);
    // Some clients join an address with a trailing slash and a path with a leading one.
    (agent, rest.strip_prefix(&[""]).unwrap_or(rest))
}

/// The target of a request for a card.
#[derive(Debug, PartialEq, Eq)]
pub struct CardTarget<'a> {
    /// Agent named by the address.
    pub agent: Option<&'a str>,
}

/// The target of a path of a card: a named agent, or the one at the root. Clients look for a card
/// below whatever address they were given.
pub fn card(path: &str) -> Option<CardTarget<'_>> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').take(MAX_SEGMENTS + 1).collect();
    let [address @ .., ".well-known", "agent-card.json" | "agent.json"] = &segments[..] else {
        return None;
    };
    let (agent, rest) = agent(address);
    let rest = rest.strip_suffix(&["v1"]).unwrap_or(rest);
    let agent = match (agent, rest) {
        (agent, []) => agent,
        (None, [tenant]) if !RESERVED_SEGMENTS.contains(tenant) => Some(*tenant),
        (Some(agent), [tenant]) if agent == *tenant => Some(agent),
        _ => return None,
    };
    Some(CardTarget { agent })
}

/// True for first segments with a meaning of their own.
pub fn is_reserved(segment: &str) -> bool {
    RESERVED_SEGMENTS.contains(&segment)
}

fn methods(matched: &MatchedRoute<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for route in matched.routes() {
        methods.push(route.method.clone());
        if route.method == Method::GET {
            methods.push(Method::HEAD);
        }
    }
    methods
}

fn decoded<'a>(name: &str, raw: &'a str) -> Result<Cow<'a, str>, ProtocolError> {
    let text = percent_decode_str(raw).decode_utf8();
    text.map_err(|_| ProtocolError::invalid(name, "is not valid UTF-8 in the path"))
}

#[cfg(test)]
mod tests;
