//! Protection of servers without authentication against requests from foreign web pages.
//!
//! Such a server is protected by its network address only, and a browser on the same machine or
//! network is inside. A web page may send simple requests to any address (cross-site request
//! forgery), or resolve its own name to ours (DNS rebinding). So the host must be a name of this
//! server, and the origin, if any, must be this server's or an allowed one. A server with keys
//! rejects nothing here: a page without a key can do nothing.

use super::{
    forwarded::TrustedProxies,
    host::{Host, hosts_of},
};
use crate::options::ApiOptions;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use longhaul_wire::shortened;
use std::{sync::Arc, time::Duration};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Names of cards and key sets, below any address. They are public, and every page may read them.
const DOCUMENT_NAMES: [&str; 3] = ["agent-card.json", "agent.json", "jwks.json"];

/// Paths of health probes, which address a node by any name.
const PROBE_PATHS: [&str; 2] = ["/healthz", "/readyz"];
const GRPC_PROBE_PREFIX: &str = "/grpc.health.v1.Health/";

/// Time for which browsers may cache a preflight response; none caches it longer.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Response headers that pages may read.
const EXPOSED_HEADERS: [HeaderName; 11] = [
    header::ALLOW,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("a2a-extensions"),
    HeaderName::from_static("x-a2a-extensions"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// Origins whose pages may use this server (CORS).
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

/// Result of checking an accepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginCheck {
    /// The request has no origin, or its page may not read the response.
    Plain,
    /// The page may read the response, or it is a preflight request.
    Cors,
}

/// A request was rejected for its host or origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginRejection {
    /// The host is not a name of this server.
    Host(String),
    /// A page of a foreign origin has sent it.
    Origin(String),
    /// A page of another site has sent it.
    Site,
    /// A preflight request of an origin that is not allowed.
    Preflight(String),
}

impl OriginRejection {
    /// Reason code, for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Host(_) => "HOST_NOT_ALLOWED",
            Self::Origin(_) | Self::Site | Self::Preflight(_) => "ORIGIN_NOT_ALLOWED",
        }
    }

    /// Reason and remedy, for people.
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
        let public = options.public_url.as_deref().and_then(Host::from_url);
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

    /// True when pages of this origin may read the response.
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

    /// Checks the host and the origin of a request.
    pub fn check(&self, parts: &Parts) -> Result<OriginCheck, OriginRejection> {
        let origin = parts.headers.get(header::ORIGIN);
        let path = parts.uri.path();
        let may_read = origin.is_some_and(|origin| self.allows(origin, path));
        if self.open && !is_exempt(parts) {
            // The host that a listed proxy was asked for counts, not the one that it asks.
            let forwarded = self.proxies.read(parts).and_then(|forwarded| forwarded.host);
            let hosts: Vec<&str> = match &forwarded {
                Some(host) => vec![host],
                None => hosts_of(parts).collect(),
            };
            self.check_host(&hosts)?;
            // An allowed page needs no further check.
            if !may_read {
                self.check_origin(parts, &hosts)?;
            }
        }
        match origin {
            Some(_) if may_read => Ok(OriginCheck::Cors),
            Some(origin) if is_preflight(parts) => Err(OriginRejection::Preflight(text(origin))),
            _ => Ok(OriginCheck::Plain),
        }
    }

    fn check_host(&self, hosts: &[&str]) -> Result<(), OriginRejection> {
        for host in hosts {
            let known = Host::parse(host).is_some_and(|host| self.is_ours(&host));
            if !known {
                return Err(OriginRejection::Host((*host).to_owned()));
            }
        }
        Ok(())
    }

    /// True for names that no attacker can control: they need no resolver, or they are listed.
    fn is_ours(&self, host: &Host) -> bool {
        host.is_localhost() || host.is_ip() || self.hosts.iter().any(|listed| listed.covers(host))
    }

    fn check_origin(&self, parts: &Parts, hosts: &[&str]) -> Result<(), OriginRejection> {
        let mut origins = parts.headers.get_all(header::ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            // Links and images have no origin; browsers tell if their page is of another site.
            return if is_cross_site(&parts.headers) { Err(OriginRejection::Site) } else { Ok(()) };
        }
        for origin in origins {
            let page = origin.to_str().ok().and_then(Host::from_url);
            // An IP address proves nothing: any page may be served from one.
            let known = page.is_some_and(|page| {
                page.is_loopback()
                    || self.hosts.iter().any(|listed| listed.covers(&page))
                    || hosts.iter().filter_map(|host| Host::parse(host)).any(|host| host == page)
            });
            if !known {
                return Err(OriginRejection::Origin(text(origin)));
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

/// Recognises a CORS preflight request (Fetch standard).
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// True for requests that may come from anywhere.
fn is_exempt(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    (reads && (is_document(path) || PROBE_PATHS.contains(&path)))
        || path.starts_with(GRPC_PROBE_PREFIX)
}

/// True for paths of cards and key sets.
pub fn is_document(path: &str) -> bool {
    let Some((_, name)) = path.rsplit_once("/.well-known/") else { return false };
    DOCUMENT_NAMES.contains(&name.strip_suffix('/').unwrap_or(name))
}

/// Answers preflight requests, and adds CORS headers to responses for pages that the policy allows.
pub fn cors_layer(policy: Arc<OriginPolicy>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, parts| {
            policy.allows(origin, parts.uri.path())
        }))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        // A2A extensions have headers that are unknown here.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED_HEADERS)
        .max_age(PREFLIGHT_MAX_AGE)
        .allow_private_network(true)
}

#[cfg(test)]
mod tests;
