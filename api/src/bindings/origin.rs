//! Who may send requests from where, on a server that asks for no credentials.
//!
//! There the network address is all that keeps strangers out, and a browser on the same machine or network is already in. A web page
//! may send simple requests to any address (cross-site request forgery), or have its own name resolve to ours (DNS rebinding). So a
//! request counts only when its host is a name of this server, and its origin, if any, is that of this server or was allowed.
//! Where callers show a key, a page that does not have it can do nothing, and nothing is refused here.

use super::host::{Host, hosts_of};
use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use longhaul_wire::dialect::shortened;

/// Where cards and keys are, below whatever address: they are public, and pages may read them.
const DOCUMENTS: [&str; 3] = ["agent-card.json", "agent.json", "jwks.json"];

/// What probes ask for, by whatever name they know this node.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];
const GRPC_PROBES: &str = "/grpc.health.v1.Health/";

/// The origins whose pages may use this server (CORS).
#[derive(Debug, Clone, PartialEq, Eq)]
enum CorsOrigins {
    Any,
    /// These, in lower case.
    Listed(Vec<String>),
}

/// Checks hosts and origins.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    /// Whether callers need no credentials.
    open: bool,
    /// Names of this server.
    hosts: Vec<Host>,
    cors: CorsOrigins,
}

/// What a request is, by its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Of no page, or of one that is not allowed to read the answer.
    Plain,
    /// Of a page that may read the answer, or asks whether it may.
    Cors,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    /// It is addressed to a name that is not one of this server.
    Host(String),
    /// It was sent by a page of this origin.
    Origin(String),
    /// It was sent by a page of another site.
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
    pub fn new(
        open: bool,
        public_url: &str,
        allowed_hosts: &[String],
        cors_origins: &[String],
    ) -> Self {
        let public = Host::of_url(public_url);
        let hosts = public.into_iter().chain(allowed_hosts.iter().filter_map(|h| Host::parse(h)));
        let cors = if cors_origins.iter().any(|origin| origin == "*") {
            CorsOrigins::Any
        } else {
            CorsOrigins::Listed(cors_origins.iter().map(|o| o.to_ascii_lowercase()).collect())
        };
        Self { open, hosts: hosts.collect(), cors }
    }

    /// Whether a page of this origin may read answers.
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
            self.check_host(parts)?;
            if !may_read {
                self.check_origin(parts)?;
            }
        }
        match origin {
            Some(_) if may_read => Ok(Admission::Cors),
            Some(origin) if is_preflight(parts) => Err(Foreign::Preflight(text(origin))),
            _ => Ok(Admission::Plain),
        }
    }

    fn check_host(&self, parts: &Parts) -> Result<(), Foreign> {
        for host in hosts_of(parts) {
            let known = Host::parse(host).is_some_and(|host| self.is_ours(&host));
            if !known {
                return Err(Foreign::Host(host.to_owned()));
            }
        }
        Ok(())
    }

    /// Whether no stranger can have this name: the resolver is not asked for it, or it was listed.
    fn is_ours(&self, host: &Host) -> bool {
        host.is_localhost() || host.is_ip() || self.hosts.iter().any(|listed| listed.covers(host))
    }

    fn check_origin(&self, parts: &Parts) -> Result<(), Foreign> {
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
                    || hosts_of(parts).filter_map(Host::parse).any(|host| host == page)
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

/// Whether a browser asks what a page may do (Fetch, CORS-preflight request).
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether anybody may ask, from wherever.
fn is_exempt(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    (reads && (is_document(path) || PROBES.contains(&path))) || path.starts_with(GRPC_PROBES)
}

/// Whether a card or a key set is at this path.
pub fn is_document(path: &str) -> bool {
    let Some((_, name)) = path.rsplit_once("/.well-known/") else { return false };
    DOCUMENTS.contains(&name.strip_suffix('/').unwrap_or(name))
}

#[cfg(test)]
mod tests;
