//! Forwarding headers of proxies: `Forwarded` (RFC 7239), or `X-Forwarded-Host`, `-Proto`, `-Port`
//! and `-Prefix`.
//!
//! Any client can send these headers, so they count only on connections from listed proxies. Of
//! several values the last was added by the nearest proxy; while a value was added for another
//! listed proxy, the value before it counts.

use super::host::Host;
use axum::http::{HeaderMap, request::Parts};
use ipnet::IpNet;
use std::net::IpAddr;

/// Address of the client's end of a connection; a request extension when proxies are listed.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Networks of the listed proxies.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// The request as the outermost listed proxy received it, as far as known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Host, with a port unless it is the scheme's default.
    pub host: Option<String>,
    pub is_https: Option<bool>,
    /// Path in front of ours, without a trailing slash.
    pub prefix: Option<String>,
}

impl TrustedProxies {
    /// Trusts proxies in these networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        // IPv4 addresses may come mapped into IPv6.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Reads the headers of a request from a listed proxy.
    pub fn read(&self, parts: &Parts) -> Option<Forwarded> {
        let Peer(peer) = *parts.extensions.get::<Peer>()?;
        self.trusts(peer).then(|| self.headers(&parts.headers))
    }

    fn headers(&self, headers: &HeaderMap) -> Forwarded {
        let standard = self.standard(headers);
        let hops = self.hops(headers);
        let nearest = |name| nth_last(headers, name, hops);
        let is_https = standard.is_https.or_else(|| scheme(&nearest("x-forwarded-proto")?));
        let host = standard.host.or_else(|| {
            let host = nearest("x-forwarded-host").filter(|host| Host::parse(host).is_some())?;
            let port: Option<u16> = nearest("x-forwarded-port").and_then(|port| port.parse().ok());
            Some(with_port(&host, port, is_https.unwrap_or(false)))
        });
        let prefix = nearest("x-forwarded-prefix").and_then(|prefix| path(&prefix));
        Forwarded { host, is_https, prefix }
    }

    /// Reads `Forwarded`, from the nearest proxy outwards.
    fn standard(&self, headers: &HeaderMap) -> Forwarded {
        let mut read = Forwarded::default();
        for element in values(headers, "forwarded").into_iter().rev() {
            let mut sender = None;
            for pair in element.split(';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => sender = address(value),
                    "proto" => read.is_https = scheme(value).or(read.is_https),
                    "host" if Host::parse(value).is_some() => read.host = Some(value.to_owned()),
                    _ => {}
                }
            }
            // Whatever stands before this element was written by an unlisted sender.
            if !sender.is_some_and(|sender| self.trusts(sender)) {
                break;
            }
        }
        read
    }

    /// Counts the listed proxies that the request passed, by `X-Forwarded-For`.
    fn hops(&self, headers: &HeaderMap) -> usize {
        let senders = values(headers, "x-forwarded-for");
        let listed = senders.iter().rev().map(|sender| address(sender));
        1 + listed.take_while(|sender| sender.is_some_and(|sender| self.trusts(sender))).count()
    }
}

/// Values of a list header, over all its occurrences.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let all = lists.flat_map(|list| list.split(',')).map(str::trim);
    all.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// The value that the n-th proxy added, or the first if fewer did.
fn nth_last(headers: &HeaderMap, name: &str, hops: usize) -> Option<String> {
    let mut values = values(headers, name);
    let place = values.len().saturating_sub(hops);
    (!values.is_empty()).then(|| values.swap_remove(place))
}

fn scheme(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

/// Parses an address, with or without a port; `None` for names and `unknown`.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| Host::parse(text)?.ip())
}

fn with_port(host: &str, port: Option<u16>, is_https: bool) -> String {
    let nearest = if is_https { 443 } else { 80 };
    match port {
        Some(port) if port != nearest && Host::parse(host).is_some_and(|host| !host.has_port()) => {
            format!("{host}:{port}")
        }
        _ => host.to_owned(),
    }
}

/// A path that is safe in a URL; `None` for the root.
fn path(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte);
    let good = path.starts_with('/') && !path.contains("//") && path.bytes().all(plain);
    good.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn read(peer: &str, headers: &[(&str, &str)]) -> Option<Forwarded> {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(Peer(peer.parse().unwrap()));
        TrustedProxies::new(networks.into()).read(&parts)
    }

    fn forwarded(host: &str, is_https: bool, prefix: Option<&str>) -> Forwarded {
        let prefix = prefix.map(str::to_owned);
        Forwarded { host: Some(host.to_owned()), is_https: Some(is_https), prefix }
    }

    #[test]
    fn only_listed_proxies_are_believed() {
        let headers = [("x-forwarded-host", "a.example"), ("x-forwarded-proto", "https")];
        for peer in ["192.0.2.1", "::1", "2001:db9::1"] {
            assert_eq!(read(peer, &headers), None, "{peer}");
        }
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"] {
            assert_eq!(read(peer, &headers), Some(forwarded("a.example", true, None)), "{peer}");
        }
    }

    #[test]
    fn both_families_of_headers_are_read() {
        for (headers, wanted) in [
            (
                &[
                    ("x-forwarded-host", "a.example"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-port", "8443"),
                    ("x-forwarded-prefix", "/agents-api/"),
                ][..],
                forwarded("a.example:8443", true, Some("/agents-api")),
            ),
            (
                &[
                    ("x-forwarded-host", "a:1"),
                    ("x-forwarded-port", "2"),
                    ("x-forwarded-proto", "http"),
                ],
                forwarded("a:1", false, None),
            ),
            (
                &[
                    ("forwarded", "for=192.0.2.60;Proto=https;host=\"a.example:8443\""),
                    ("x-forwarded-host", "other"),
                    ("x-forwarded-proto", "http"),
                ],
                forwarded("a.example:8443", true, None),
            ),
        ] {
            assert_eq!(read("10.0.0.1", headers), Some(wanted), "{headers:?}");
        }
    }

    #[test]
    fn values_added_by_the_client_do_not_count() {
        let own = [
            ("x-forwarded-for", "10.0.0.9, 192.0.2.60"),
            ("x-forwarded-host", "evil.example, a.example"),
            ("x-forwarded-proto", "http, https"),
        ];
        assert_eq!(read("10.0.0.1", &own), Some(forwarded("a.example", true, None)));
        let own = [(
            "forwarded",
            "for=10.0.0.9;host=evil.example;proto=http, for=192.0.2.60;host=a.example;proto=https",
        )];
        assert_eq!(read("10.0.0.1", &own), Some(forwarded("a.example", true, None)));
    }

    #[test]
    fn behind_two_listed_proxies_the_outer_one_counts() {
        let both = [
            ("x-forwarded-for", "192.0.2.60, 10.0.0.2"),
            ("x-forwarded-host", "a.example, inner:8080"),
            ("x-forwarded-proto", "https, http"),
        ];
        assert_eq!(read("10.0.0.1", &both), Some(forwarded("a.example", true, None)));
        let both = [(
            "forwarded",
            "for=192.0.2.60;host=a.example;proto=https, for=\"[2001:db8::2]:4711\";host=inner;proto=http",
        )];
        assert_eq!(read("10.0.0.1", &both), Some(forwarded("a.example", true, None)));
    }

    #[test]
    fn values_unfit_for_a_url_are_ignored() {
        let odd = [
            ("x-forwarded-host", "a b"),
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-prefix", "//evil.example"),
        ];
        assert_eq!(read("10.0.0.1", &odd), Some(Forwarded::default()));
        assert_eq!(path("/a\"b"), None);
        assert_eq!(path("a"), None);
        assert_eq!(path("/"), None);
    }
}
