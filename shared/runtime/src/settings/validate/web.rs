//! `[server]`: hosts and origins.

use super::{super::sections::ServerSettings, Check, Checked};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

const HOST: &str =
    "a host name, with a port perhaps, such as \"agents.internal\" or \"agents.internal:8080\"";
const ORIGIN: &str = "\"*\", or an origin without a path and a slash at the end, such as \"https://app.example.com\"";

const NETWORK: &str = "an address, or a network such as \"10.0.0.0/8\" or \"fd00::/8\"";

/// Reads an address or a network.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(|address| address.to_canonical().into()))
}

impl Check<'_> {
    pub(super) fn web(&self, server: &ServerSettings) -> Checked {
        for (at, host) in server.allowed_hosts.iter().enumerate() {
            let key = format!("server.allowed_hosts[{at}]");
            self.ensure(is_host(host), &key, &format!("{host:?} is not such a host"), HOST)?;
        }
        for (at, network) in server.trusted_proxies.iter().enumerate() {
            let key = format!("server.trusted_proxies[{at}]");
            let problem = format!("{network:?} is not such an address");
            self.ensure(parse_network(network).is_some(), &key, &problem, NETWORK)?;
        }
        for (at, origin) in server.cors_origins.iter().enumerate() {
            let key = format!("server.cors_origins[{at}]");
            let good = origin == "*" || is_origin(origin);
            self.ensure(good, &key, &format!("{origin:?} is not such an origin"), ORIGIN)?;
        }
        Ok(())
    }
}

/// True for a name or an address, an IPv6 one in brackets, with or without a port.
fn is_host(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_name, port) = if let Some((address, port)) = bracketed {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (!name.is_empty() && !name.starts_with('.') && name.bytes().all(inner), port)
    };
    let number = port.strip_prefix(':').map(str::parse::<u16>);
    is_name && (port.is_empty() || matches!(number, Some(Ok(1..))))
}

/// True for a scheme, `://` and a host, as browsers name origins.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !scheme.is_empty() && scheme.bytes().all(letters) && is_host(host)
}
