//! Hosts in requests and settings: a name or an address, optionally with a port.

use axum::http::{header, request::Parts, uri::Authority};
use std::net::IpAddr;

/// A host in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name or address, without brackets and without the final dot of a full name.
    name: String,
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl Host {
    /// Parses a `Host` header or an `:authority`.
    pub fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.trim().parse().ok()?;
        let (host, port) = (authority.host(), authority.port_u16());
        let behind = authority.as_str().len().checked_sub(host.len())?;
        // Rejects user info, and anything after the host that is not a valid port.
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

    /// The host of a URL or an origin. The scheme's default port is left out.
    pub fn from_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let mut host = Self::parse(rest.split(['/', '?', '#']).next()?)?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        // Hosts in requests leave it out.
        host.port = host.port.filter(|port| *port != default_port);
        Some(host)
    }

    /// True for names that always mean this machine, without a resolver (RFC 6761, 6.3).
    pub fn is_localhost(&self) -> bool {
        self.name == "localhost" || self.name.ends_with(".localhost")
    }

    /// The IP address, if the host is one.
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// True when the host has a port.
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

    /// True when this listed host covers another; without a port it covers every port.
    pub fn covers(&self, other: &Self) -> bool {
        self.name == other.name && (self.port.is_none() || self.port == other.port)
    }
}

/// All hosts in a request: the `:authority` of HTTP/2 and the `Host` headers. A client may send
/// both.
pub fn hosts_of(parts: &Parts) -> impl Iterator<Item = &str> {
    let authority = parts.uri.authority().map(Authority::as_str);
    let headers = parts.headers.get_all(header::HOST).iter();
    // A value that is not text is rejected as an invalid host.
    authority.into_iter().chain(headers.map(|value| value.to_str().unwrap_or("?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parsed_with_and_without_a_port() {
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
    fn a_default_port_is_left_out() {
        assert_eq!(Host::from_url("https://a:443/b"), Host::parse("a"));
        assert_eq!(Host::from_url("http://A"), Host::parse("a"));
        assert_eq!(Host::from_url("http://a:443"), Host::parse("a:443"));
        for wrong in ["null", "a", "file:///a", "chrome-extension://abc", "http:///a"] {
            assert_eq!(Host::from_url(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn localhost_names_and_addresses_are_this_machine() {
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
