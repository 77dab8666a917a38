//! Reads what proxies say about the request that they pass on: `Forwarded` (RFC 7239), or `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix`.
//!
//! Anybody can send these headers, so they count only where the connection comes from a proxy that was listed. Of several values the
//! last was added by the nearest proxy; as long as a value was added for another listed one, the value before it counts.

use super::host::Host;
use axum::http::{HeaderMap, request::Parts};
use ipnet::IpNet;
use std::net::IpAddr;

/// The other end of a connection, among the extensions of its requests where there are listed proxies.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// A request as it was sent to the outermost listed proxy, as far as that is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The host, with a port where it is not the usual one.
    pub host: Option<String>,
    pub is_https: Option<bool>,
    /// The path in front of ours, without a slash at its end.
    pub prefix: Option<String>,
}

impl TrustedProxies {
    /// Takes a list of networks.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Reads the headers of a request that a listed proxy has sent.
    pub fn read(&self, parts: &Parts) -> Option<Forwarded> {
        let Peer(peer) = *parts.extensions.get::<Peer>()?;
        self.trusts(peer).then(|| self.headers(&parts.headers))
    }

    fn headers(&self, headers: &HeaderMap) -> Forwarded {
        let standard = self.standard(headers);
        let hops = self.hops(headers);
        let usual = |name| nth_last(headers, name, hops);
        let is_https = standard.is_https.or_else(|| scheme(&usual("x-forwarded-proto")?));
        let host = standard.host.or_else(|| {
            let host = usual("x-forwarded-host").filter(|host| Host::parse(host).is_some())?;
            let port: Option<u16> = usual("x-forwarded-port").and_then(|port| port.parse().ok());
            Some(with_port(&host, port, is_https.unwrap_or(false)))
        });
        let prefix = usual("x-forwarded-prefix").and_then(|prefix| path(&prefix));
        Forwarded { host, is_https, prefix }
    }

    /// `Forwarded`, from the nearest proxy outwards.
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
            if !sender.is_some_and(|sender| self.trusts(sender)) {
                break;
            }
        }
        read
    }

    /// Counts the listed proxies that the request came through, by `X-Forwarded-For`.
    fn hops(&self, headers: &HeaderMap) -> usize {
        let senders = values(headers, "x-forwarded-for");
        let listed = senders.iter().rev().map(|sender| address(sender));
        1 + listed.take_while(|sender| sender.is_some_and(|sender| self.trusts(sender))).count()
    }
}

/// The values of a list, over all headers of this name.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let all = lists.flat_map(|list| list.split(',')).map(str::trim);
    all.filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// The value that the so many-th proxy has added, or the first where fewer have.
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

/// An address, with a port perhaps; `None` for names and for `unknown`.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| Host::parse(text)?.ip())
}

fn with_port(host: &str, port: Option<u16>, is_https: bool) -> String {
    let usual = if is_https { 443 } else { 80 };
    match port {
        Some(port) if port != usual && Host::parse(host).is_some_and(|host| !host.has_port()) => {
            format!("{host}:{port}")
        }
        _ => host.to_owned(),
    }
}

/// A path that can stand in a URL; none for the root.
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

    fn told(host: &str, is_https: bool, prefix: Option<&str>) -> Forwarded {
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
            assert_eq!(read(peer, &headers), Some(told("a.example", true, None)), "{peer}");
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
                told("a.example:8443", true, Some("/agents-api")),
            ),
            (
                &[
                    ("x-forwarded-host", "a:1"),
                    ("x-forwarded-port", "2"),
                    ("x-forwarded-proto", "http"),
                ],
                told("a:1", false, None),
            ),
            (
                &[
                    ("forwarded", "for=192.0.2.60;Proto=https;host=\"a.example:8443\""),
                    ("x-forwarded-host", "other"),
                    ("x-forwarded-proto", "http"),
                ],
                told("a.example:8443", true, None),
            ),
        ] {
            assert_eq!(read("10.0.0.1", headers), Some(wanted), "{headers:?}");
        }
    }

    #[test]
    fn what_a_client_puts_in_front_does_not_count() {
        let own = [
            ("x-forwarded-for", "10.0.0.9, 192.0.2.60"),
            ("x-forwarded-host", "evil.example, a.example"),
            ("x-forwarded-proto", "http, https"),
        ];
        assert_eq!(read("10.0.0.1", &own), Some(told("a.example", true, None)));
        let own = [(
            "forwarded",
            "for=10.0.0.9;host=evil.example;proto=http, for=192.0.2.60;host=a.example;proto=https",
        )];
        assert_eq!(read("10.0.0.1", &own), Some(told("a.example", true, None)));
    }

    #[test]
    fn behind_two_listed_proxies_the_outer_one_knows() {
        let both = [
            ("x-forwarded-for", "192.0.2.60, 10.0.0.2"),
            ("x-forwarded-host", "a.example, inner:8080"),
            ("x-forwarded-proto", "https, http"),
        ];
        assert_eq!(read("10.0.0.1", &both), Some(told("a.example", true, None)));
        let both = [(
            "forwarded",
            "for=192.0.2.60;host=a.example;proto=https, for=\"[2001:db8::2]:4711\";host=inner;proto=http",
        )];
        assert_eq!(read("10.0.0.1", &both), Some(told("a.example", true, None)));
    }

    #[test]
    fn what_cannot_stand_in_a_url_is_left_out() {
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
