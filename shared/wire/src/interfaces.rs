//! The ways in which an agent is reached, in the order that a card names them (A2A 4.4.6, 8.3.1): 1.0 before 0.3, and in each
//! JSON-RPC first, which every client has.
//!
//! The addresses are those that clients build paths upon: JSON-RPC is called where its URL says, HTTP+JSON below it (`/tasks`, and
//! `/v1/tasks` in 0.3, whose clients add that prefix themselves). gRPC has no path: there an agent is named by the tenant.

use crate::{
    Dialect, Negotiation,
    card::{Binding, Interface},
};
use longhaul_domain::AgentName;

/// How the address of gRPC is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcAddress {
    /// `host:port`, as most gRPC clients take it and the text after 1.0.1 has it.
    HostPort,
    /// As a URL, of the same origin as the other addresses: as 1.0.0 and 1.0.1 have it.
    Url,
    /// gRPC is left out.
    Off,
}

/// The interfaces of an agent at its own address, or of the one at the root of the deployment where none is named.
pub fn interfaces(
    public_url: &str,
    agent: Option<&AgentName>,
    served: Negotiation,
    grpc: GrpcAddress,
) -> Vec<Interface> {
    let mut dialects = vec![Dialect::V1_0];
    dialects.extend(served.v0_3.then_some(Dialect::V0_3));
    let mut all = Vec::with_capacity(6);
    for dialect in dialects {
        let at = |binding, url| Interface { url, binding, dialect, tenant: None };
        let (called, below) = match agent {
            Some(name) => {
                let url = format!("{public_url}/agents/{name}");
                (url.clone(), url)
            }
            None => (format!("{public_url}/"), public_url.to_owned()),
        };
        all.push(at(Binding::JsonRpc, called));
        all.push(at(Binding::HttpJson, below));
        // Requests of 0.3 have no tenant: there only the agent at the root can be reached.
        if agent.is_some() && dialect != Dialect::V1_0 {
            continue;
        }
        if let Some(url) = grpc_url(public_url, grpc) {
            let tenant = agent.map(ToString::to_string);
            all.push(Interface { tenant, ..at(Binding::Grpc, url) });
        }
    }
    all
}

fn grpc_url(public_url: &str, grpc: GrpcAddress) -> Option<String> {
    let (scheme, rest) = public_url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    match grpc {
        GrpcAddress::Off => None,
        GrpcAddress::Url => Some(format!("{scheme}://{authority}")),
        GrpcAddress::HostPort if has_port(authority) => Some(authority.to_owned()),
        GrpcAddress::HostPort => {
            let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            Some(format!("{authority}:{port}"))
        }
    }
}

/// The colons of an IPv6 address stand in brackets.
fn has_port(authority: &str) -> bool {
    authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(
        url: &str,
        agent: Option<&str>,
        served: Negotiation,
        grpc: GrpcAddress,
    ) -> Vec<String> {
        let agent = agent.map(|name| AgentName::new(name).unwrap());
        let all = interfaces(url, agent.as_ref(), served, grpc);
        let of = |i: Interface| {
            let tenant = i.tenant.map(|tenant| format!(" of {tenant}")).unwrap_or_default();
            format!("{} {} {}{tenant}", i.binding.name(), i.dialect.version(), i.url)
        };
        all.into_iter().map(of).collect()
    }

    #[test]
    fn the_agent_at_the_root_is_reached_by_every_binding_of_both_versions() {
        let all = shown("https://a.example", None, Negotiation::default(), GrpcAddress::HostPort);
        assert_eq!(
            all,
            [
                "JSONRPC 1.0 https://a.example/",
                "HTTP+JSON 1.0 https://a.example",
                "GRPC 1.0 a.example:443",
                "JSONRPC 0.3 https://a.example/",
                "HTTP+JSON 0.3 https://a.example",
                "GRPC 0.3 a.example:443",
            ]
        );
    }

    #[test]
    fn an_agent_with_an_address_is_named_by_path_or_tenant() {
        let all = shown("http://[::1]:8", Some("b"), Negotiation::default(), GrpcAddress::Url);
        assert_eq!(
            all,
            [
                "JSONRPC 1.0 http://[::1]:8/agents/b",
                "HTTP+JSON 1.0 http://[::1]:8/agents/b",
                "GRPC 1.0 http://[::1]:8 of b",
                "JSONRPC 0.3 http://[::1]:8/agents/b",
                "HTTP+JSON 0.3 http://[::1]:8/agents/b",
            ]
        );
    }

    #[test]
    fn what_is_switched_off_is_not_named() {
        let all = shown("http://a:1", None, Negotiation::ONLY_V1_0, GrpcAddress::Off);
        assert_eq!(all, ["JSONRPC 1.0 http://a:1/", "HTTP+JSON 1.0 http://a:1"]);
    }

    #[test]
    fn the_address_of_grpc_has_a_port_and_no_path() {
        let of = |url| grpc_url(url, GrpcAddress::HostPort).unwrap();
        assert_eq!(of("http://a"), "a:80");
        assert_eq!(of("https://a:8443/base"), "a:8443");
        assert_eq!(of("https://[::1]"), "[::1]:443");
        assert_eq!(of("http://[::1]:9"), "[::1]:9");
    }
}
