//! The address that cards name: the configured one, or the one that the request was sent to.
//!
//! A request's host is its client's claim, so a card made from it is sent to that client only, and
//! is not signed unless the host is listed.

use super::{
    forwarded::{Forwarded, TrustedProxies},
    host::{Host, hosts_of},
};
use crate::{
    options::ApiOptions,
    service::{AddressSource, CardAddress},
};
use axum::http::request::Parts;
use std::sync::atomic::{AtomicBool, Ordering};

/// Headers that only proxies send.
const FORWARDING_HEADERS: [&str; 3] = ["forwarded", "x-forwarded-host", "x-forwarded-proto"];

/// Chooses the address that a card names.
#[derive(Debug)]
pub struct Addresses {
    /// The configured address.
    public_url: Option<String>,
    /// The address that this node listens on, for requests without a host.
    listen_url: String,
    listed: Vec<Host>,
    proxies: TrustedProxies,
    /// Set once an unlisted proxy was reported in the log.
    warned: AtomicBool,
}

impl Addresses {
    /// Reads the options of a node.
    pub fn new(options: &ApiOptions) -> Self {
        Self {
            public_url: options.public_url.clone(),
            listen_url: options.listen_url.clone(),
            listed: options.allowed_hosts.iter().filter_map(|host| Host::parse(host)).collect(),
            proxies: TrustedProxies::new(options.trusted_proxies.clone()),
            warned: AtomicBool::new(false),
        }
    }

    /// The address for a card that this request asks for.
    pub fn card_address(&self, parts: &Parts) -> CardAddress {
        if let Some(url) = &self.public_url {
            return CardAddress { url: url.clone(), source: AddressSource::Configured };
        }
        let Forwarded { host, is_https, prefix } = self.proxies.read(parts).unwrap_or_else(|| {
            self.warn(parts);
            Forwarded::default()
        });
        // The proxy's word first: the Host header may name the node itself.
        let named = host.or_else(|| hosts_of(parts).next().map(str::to_owned));
        let Some((text, host)) = named.and_then(|text| Host::parse(&text).map(|host| (text, host)))
        else {
            let url = self.listen_url.clone();
            return CardAddress { url, source: AddressSource::Requested };
        };
        let scheme = if is_https == Some(true) { "https" } else { "http" };
        let is_listed = self.listed.iter().any(|listed| listed.covers(&host));
        let source = if is_listed { AddressSource::Listed } else { AddressSource::Requested };
        let url = format!("{scheme}://{}{}", text.trim(), prefix.unwrap_or_default());
        CardAddress { url, source }
    }

    fn warn(&self, parts: &Parts) {
        let is_forwarded = FORWARDING_HEADERS.iter().any(|name| parts.headers.contains_key(*name));
        if is_forwarded && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "forwarded headers ignored: their sender is not in server.trusted_proxies. List it there, or set server.public_url, so that \
                 cards name the public address"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bindings::forwarded::Peer, testing::options};
    use axum::http::Request;

    fn of(
        addresses: &Addresses,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (String, AddressSource) {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(Peer("10.0.0.1".parse().unwrap()));
        let CardAddress { url, source } = addresses.card_address(&parts);
        (url, source)
    }

    #[test]
    fn a_card_names_the_requested_address_unless_one_is_configured() {
        let mut options = options();
        let set = Addresses::new(&options);
        let asked = [("host", "agents.internal:8080")];
        assert_eq!(of(&set, "/", &asked), ("http://test".into(), AddressSource::Configured));
        options.public_url = None;
        options.allowed_hosts = vec!["agents.example".to_owned()];
        options.trusted_proxies = vec!["10.0.0.0/24".parse().unwrap()];
        let unset = Addresses::new(&options);
        for (target, headers, url, source) in [
            ("/", &asked[..], "http://agents.internal:8080", AddressSource::Requested),
            ("http://[::1]:8080/", &[], "http://[::1]:8080", AddressSource::Requested),
            ("/", &[], "http://127.0.0.1:8080", AddressSource::Requested),
            ("/", &[("host", "a b")], "http://127.0.0.1:8080", AddressSource::Requested),
            ("/", &[("host", "agents.example")], "http://agents.example", AddressSource::Listed),
            (
                "/",
                &[
                    ("host", "inner"),
                    ("x-forwarded-host", "agents.example"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-prefix", "/a2a-api"),
                ],
                "https://agents.example/a2a-api",
                AddressSource::Listed,
            ),
        ] {
            assert_eq!(of(&unset, target, headers), (url.to_owned(), source), "{headers:?}");
        }
    }
}
