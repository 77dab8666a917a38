//! Protection of servers that ask for no credentials against requests of foreign web pages.
//!
//! There the network address is all that keeps strangers out, and a browser on the same machine or network is already in. A web page
//! may send simple requests to any address (cross-site request forgery), or have its own name resolve to ours (DNS rebinding). So a
//! request counts only when its host is a name of this server, and its origin, if any, is that of this server or was allowed.
//! A server with keys refuses nothing here: a page without a key can do nothing.

use super::{
    forwarded::TrustedProxies,
    host::{Host, hosts_of},
};
use crate::options::ApiOptions;
use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use longhaul_wire::dialect::shortened;

/// Names of cards and key sets, below any address: they are public, and every page may read them.
const DOCUMENTS: [&str; 3] = ["agent-card.json", "agent.json", "jwks.json"];

/// Addresses of probes, which know a node by any name.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];
const GRPC_PROBES: &str = "/grpc.health.v1.Health/";

/// The origins whose pages may use this server (CORS).
#[derive(Debug, Clone, PartialEq, Eq)]
enum CorsOrigins {
    Any,
    /// A list, in lower case.
    Listed(Vec<String>),
}

/// Checks hosts and origins.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    /// True when callers need no credentials.
    open: bool,
    /// Names of this server.
    hosts: Vec<Host>,
    cors: CorsOrigins,
    proxies: TrustedProxies,
}

/// The treatment of a request, by its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The request has no origin, or its page may not read the answer.
    Plain,
    /// The page may read the answer, or asks for leave.
    Cors,
}

/// The reason for refusing a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// The request is addressed to a name that is not one of this server.
    Host(String),
    /// A page of this foreign origin has sent it.
    Origin(String),
    /// A page of another site has sent it.
    Site,
    /// A page of this origin asks for leave, and has none.
    Preflight(String),
}

impl Foreign {
    /// The name of the reason, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Host(_) => "HOST_NOT_ALLOWED",
            Self::Origin(_) | Self::Site | Self::Preflight(_) => "ORIGIN_NOT_ALLOWED",
        }
    }

    /// The reason for people, with what to do.
    pub fn message(&self) -> String {
        match self {
            Self::Host(host) => format!(
                "{} is not a name of this server, and callers need no key here, so it may be a page's attempt to get in. \
                 If the name is yours, add it to server.allowed_hosts",
                shortened(host)
            ),
            Self::Origin(origin) => format!(
                "Pages of {} may not call this server, where callers need no key. If they are yours, add the origin to \
                 server.cors_origins",
                shortened(origin)
            ),
            Self::Site => "Pages of other sites may not call this server, where callers need no key. If they are yours, add \
                           their origin to server.cors_origins"
                .to_owned(),
            Self::Preflight(origin) => format!(
                "Pages of {} may not read the answers of this server. If they are yours, add the origin to server.cors_origins",
                shortened(origin)
            ),
        }
    }
}

impl OriginPolicy {
    /// The policy of a server that is open to callers without credentials, or is not.
    pub fn new(open: bool, options: &ApiOptions) -> Self {
        let public = options.public_url.as_deref().and_then(Host::of_url);
        let listed = options.allowed_hosts.iter().filter_map(|host| Host::parse(host));
        let hosts = public.into_iter().chain(listed);
        let cors_origins = &options.cors_origins;
        let cors = if cors_origins.iter().any(|origin| origin == "*") {
            CorsOrigins::Any
        } else {
            CorsOrigins::Listed(cors_origins.iter().map(|o| o.to_ascii_lowercase()).collect())
        };
        let proxies = TrustedProxies::new(options.trusted_proxies.clone());
        Self { open, hosts: hosts.collect(), cors, proxies }
    }

    /// True when pages of this origin may read answers.
    pub fn allows(&self, origin: &HeaderValue, path: &str) -> bool {
        if is_document(path) {
            return true;
        }
        match &self.cors {
            CorsOrigins::Any => true,
            CorsOrigins::Listed(origins) => origins
                .iter()
                .any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes())),
        }
    }

    /// Checks where a request is sent to and where it comes from.
    pub fn check(&self, parts: &Parts) -> Result<Admission, Foreign> {
        let origin = parts.headers.get(header::ORIGIN);
        let path = parts.uri.path();
        let may_read = origin.is_some_and(|origin| self.allows(origin, path));
        if self.open && !is_exempt(parts) {
            // What a listed proxy was asked counts, not what it asks.
            let forwarded = self.proxies.read(parts).and_then(|forwarded| forwarded.host);
            let hosts: Vec<&str> = match &forwarded {
                Some(host) => vec![host],
                None => hosts_of(parts).collect(),
            };
            self.check_host(&hosts)?;
            if !may_read {
                self.check_origin(parts, &hosts)?;
            }
        }
        match origin {
            Some(_) if may_read => Ok(Admission::Cors),
            Some(origin) if is_preflight(parts) => Err(Foreign::Preflight(text(origin))),
            _ => Ok(Admission::Plain),
        }
    }

    fn check_host(&self, hosts: &[&str]) -> Result<(), Foreign> {
        for host in hosts {
            let known = Host::parse(host).is_some_and(|host| self.is_ours(&host));
            if !known {
                return Err(Foreign::Host((*host).to_owned()));
            }
        }
        Ok(())
    }

    /// True for names that no stranger can have: no resolver is asked for them, or they are listed.
    fn is_ours(&self, host: &Host) -> bool {
        host.is_localhost() || host.is_ip() || self.hosts.iter().any(|listed| listed.covers(host))
    }

    fn check_origin(&self, parts: &Parts, hosts: &[&str]) -> Result<(), Foreign> {
        let mut origins = parts.headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            // Links, images and the like have no origin; browsers say of them how far away the page is.
            return if is_cross_site(&parts.headers) { Err(Foreign::Site) } else { Ok(()) };
        }
        for origin in origins {
            let page = origin.to_str().ok().and_then(Host::of_url);
            // An address is no proof: anybody's page may be served from one.
            let known = page.is_some_and(|page| {
                page.is_loopback()
                    || self.hosts.iter().any(|listed| listed.covers(&page))
                    || hosts.iter().filter_map(|host| Host::parse(host)).any(|host| host == page)
            });
            if !known {
                return Err(Foreign::Origin(text(origin)));
            }
        }
        Ok(())
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| !matches!(site.as_bytes(), b"none" | b"same-origin"))
}

/// Recognises a CORS-preflight request (Fetch standard).
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// True for requests that everybody may send, from anywhere.
fn is_exempt(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    (reads && (is_document(path) || PROBES.contains(&path))) || path.starts_with(GRPC_PROBES)
}

/// True for the paths of cards and key sets.
pub fn is_document(path: &str) -> bool {
    let Some((_, name)) = path.rsplit_once("/.well-known/") else { return false };
    DOCUMENTS.contains(&name.strip_suffix('/').unwrap_or(name))
}

#[cfg(test)]
mod tests;
