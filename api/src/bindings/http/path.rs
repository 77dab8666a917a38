//! What a method and a path ask for. In front of the place of an operation may stand the address of an agent, as JSON-RPC has
//! it, then a tenant, then the version: `/agents/{agent}/a2a/{tenant}/v1/tasks`, each of them or none.
//!
//! What a client wrote is decoded once, after the path was taken apart: an encoded slash or colon is part of an id.

use super::routes::{Of, Place, Route};
use axum::http::Method;
use longhaul_wire::{Operation, ProtocolError};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// First segments that are no tenant's name.
const RESERVED: [&str; 19] = [
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

/// Most segments that a path has.
const SEGMENTS: usize = 10;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The agent that the address names.
    pub agent: Option<Cow<'a, str>>,
    /// The tenant that the path names.
    pub tenant: Option<Cow<'a, str>>,
    /// Whose place it is: that of 1.0 or of 0.3.
    pub of: Of,
    pub operation: Operation,
    /// Ids by the names of the parameters that they are.
    pub ids: Vec<(&'static str, Cow<'a, str>)>,
}

/// Why nothing is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// There is no such place.
    Nowhere,
    /// There is, but it takes other methods: these.
    Method(Vec<Method>),
    /// Something in the path is not text.
    Refused(ProtocolError),
}

/// Finds out what is asked for. HEAD asks for what GET does.
pub fn find<'a>(method: &Method, path: &'a str) -> Result<Asked<'a>, Lost> {
    let path = path.strip_prefix('/').ok_or(Lost::Nowhere)?;
    let segments: Vec<&str> = path.split('/').take(SEGMENTS + 1).collect();
    let (address, place) = address(&segments).ok_or(Lost::Nowhere)?;
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let route: &Route = match place.routes().find(|route| route.method == *wanted) {
        Some(route) => route,
        None => return Err(Lost::Method(methods(&place))),
    };
    let text = |name, raw| decoded(name, raw).map_err(Lost::Refused);
    let tenant = address.tenant.map(|raw| text("tenant", raw)).transpose()?;
    if tenant.as_deref().is_some_and(|tenant| RESERVED.contains(&tenant)) {
        return Err(Lost::Nowhere);
    }
    let ids = place.ids.iter().map(|(name, raw)| Ok((*name, text(name, raw)?)));
    Ok(Asked {
        agent: address.agent.map(|raw| text("agent", raw)).transpose()?,
        tenant,
        of: address.of,
        operation: route.operation,
        ids: ids.collect::<Result<_, Lost>>()?,
    })
}

/// What stands in front of a place.
struct Address<'a> {
    agent: Option<&'a str>,
    tenant: Option<&'a str>,
    of: Of,
}

fn address<'a>(segments: &[&'a str]) -> Option<(Address<'a>, Place<'a>)> {
    let (agent, rest) = agent(segments);
    let (tenant, rest) = match rest {
        [first, rest @ ..] if !rest.is_empty() && !RESERVED.contains(first) => (Some(*first), rest),
        rest => (None, rest),
    };
    let (of, rest) = match rest.strip_prefix(&["v1"]) {
        Some(rest) => (Of::V0_3, rest),
        None => (Of::V1_0, rest),
    };
    Some((Address { agent, tenant, of }, Place::find(of, rest)?))
}

/// The agent that stands first, and what is behind its address.
fn agent<'a, 's>(segments: &'s [&'a str]) -> (Option<&'a str>, &'s [&'a str]) {
    let (agent, rest) = match segments {
        ["agents", agent, rest @ ..] if !agent.is_empty() => (Some(*agent), rest),
        rest => (None, rest),
    };
    let rest = rest.strip_prefix(&["a2a"]).unwrap_or(rest);
    // Clients that join an address that ends with a slash and a path that begins with one.
    (agent, rest.strip_prefix(&[""]).unwrap_or(rest))
}

/// The place of a card.
#[derive(Debug, PartialEq, Eq)]
pub struct CardPlace<'a> {
    /// The agent that the address names.
    pub agent: Option<&'a str>,
}

/// The agent whose card is at a path: one that is named, or the one at the root. Clients look for a card below whatever address they
/// were given.
pub fn card(path: &str) -> Option<CardPlace<'_>> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').take(SEGMENTS + 1).collect();
    let [address @ .., ".well-known", "agent-card.json" | "agent.json"] = &segments[..] else {
        return None;
    };
    let (agent, rest) = agent(address);
    let rest = rest.strip_suffix(&["v1"]).unwrap_or(rest);
    let agent = match (agent, rest) {
        (agent, []) => agent,
        (None, [tenant]) if !RESERVED.contains(tenant) => Some(*tenant),
        (Some(agent), [tenant]) if agent == *tenant => Some(agent),
        _ => return None,
    };
    Some(CardPlace { agent })
}

/// True for first segments that have a meaning of their own.
pub fn is_reserved(segment: &str) -> bool {
    RESERVED.contains(&segment)
}

fn methods(place: &Place<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for route in place.routes() {
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
