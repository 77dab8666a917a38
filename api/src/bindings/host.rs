//! Hosts, as requests and settings name them: a name or an address, and a port perhaps.

use axum::http::{header, request::Parts, uri::Authority};
use std::net::IpAddr;

/// A host in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name or address, without brackets and without the dot that ends a full name.
    name: String,
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl Host {
    /// Reads what stands in a `Host` header or an `:authority`.
    pub fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.trim().parse().ok()?;
        let (host, port) = (authority.host(), authority.port_u16());
        let behind = authority.as_str().len().checked_sub(host.len())?;
        // No user before it; a port that is one, or none.
        let ports = port.map_or(0, |_| authority.port().map_or(0, |port| port.as_str().len() + 1));
        if behind != ports || !authority.as_str().starts_with(host) {
            return None;
        }
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.is_empty() {
            return None;
        }
        let ip = name.parse::<IpAddr>().ok();
        Some(Self { name, ip, port })
    }

    /// The host of a URL, or of an origin, which is one without a path. The port is that of the scheme where none is given.
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let mut host = Self::parse(rest.split(['/', '?', '#']).next()?)?;
        let usual = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        // Hosts of requests leave it out.
        host.port = host.port.filter(|port| *port != usual);
        Some(host)
    }

    /// True for names that always mean this machine, without a resolver (RFC 6761, 6.3).
    pub fn is_localhost(&self) -> bool {
        self.name == "localhost" || self.name.ends_with(".localhost")
    }

    /// The address, where it is one.
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// True when it names a port.
    pub const fn has_port(&self) -> bool {
        self.port.is_some()
    }

    /// True for IP addresses.
    pub const fn is_ip(&self) -> bool {
        self.ip.is_some()
    }

    /// True for this machine.
    pub fn is_loopback(&self) -> bool {
        self.is_localhost() || self.ip.is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// True when this listed host stands for another; without a port it stands for every port.
    pub fn covers(&self, other: &Self) -> bool {
        self.name == other.name && (self.port.is_none() || self.port == other.port)
    }
}

/// Every host that a request names: in HTTP/2 the `:authority`, else the `Host` header. A client may send both.
pub fn hosts_of(parts: &Parts) -> impl Iterator<Item = &str> {
    let authority = parts.uri.authority().map(Authority::as_str);
    let headers = parts.headers.get_all(header::HOST).iter();
    // What is not text is no host, and is refused as none.
    authority.into_iter().chain(headers.map(|value| value.to_str().unwrap_or("?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_a_port() {
        for (text, name, port) in [
            ("Agents.Internal.", "agents.internal", None),
            ("a:8080", "a", Some(8080)),
            ("[::1]:8080", "::1", Some(8080)),
            ("[::1]", "::1", None),
            ("10.0.0.1:80", "10.0.0.1", Some(80)),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!((host.name.as_str(), host.port), (name, port), "{text}");
        }
        for wrong in
            ["", "a b", "user@a", "user:word@a:1", "a/b", "a:b", "a:99999", ":80", "?", "."]
        {
            assert_eq!(Host::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_host_of_a_url_leaves_out_the_usual_port() {
        assert_eq!(Host::of_url("https://a:443/b"), Host::parse("a"));
        assert_eq!(Host::of_url("http://A"), Host::parse("a"));
        assert_eq!(Host::of_url("http://a:443"), Host::parse("a:443"));
        for wrong in ["null", "a", "file:///a", "chrome-extension://abc", "http:///a"] {
            assert_eq!(Host::of_url(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_that_no_resolver_is_asked_for_are_this_machine() {
        for (text, is) in [
            ("localhost", true),
            ("app.LOCALHOST:3000", true),
            ("127.8.0.1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(Host::parse(text).unwrap().is_loopback(), is, "{text}");
        }
    }
}
