//! Options of API and worker, from settings.

use super::card_keys;
use crate::{exit::CommandError, serve::EXECUTOR_GRACE};
use longhaul_api::{ApiOptions, Authentication, ExtendedCards};
use longhaul_domain::AgentName;
use longhaul_runtime::{
    Settings,
    settings::{self, AuthMode},
};
use longhaul_store::TaskBudget;
use longhaul_wire::{
    Negotiation, card::DeploymentInfo, card::GrpcAddress, v1::card::AgentProvider,
};
use longhaul_worker::WorkerOptions;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Converts settings to the options of an API node that listens on `address`.
pub fn api_options(
    settings: &Settings,
    mode: AuthMode,
    address: SocketAddr,
) -> Result<ApiOptions, CommandError> {
    let server = &settings.server;
    let named = server.default_agent.as_deref().map(AgentName::new).transpose();
    let default_agent = named.map_err(|error| {
        CommandError::usage(format!("configuration: server.default_agent: {error}"))
    })?;
    for warning in address_warnings(settings, address) {
        tracing::warn!("{warning}");
    }
    let proxies = server.trusted_proxies.iter();
    Ok(ApiOptions {
        card_signer: card_keys::signer(settings)?,
        public_url: server.public_url.clone(),
        listen_url: local_url(address),
        trusted_proxies: proxies.filter_map(|network| settings::parse_network(network)).collect(),
        allowed_hosts: server.allowed_hosts.clone(),
        cors_origins: server.cors_origins.clone(),
        default_agent,
        authentication: match mode {
            AuthMode::None => Authentication::None,
            AuthMode::Keys => Authentication::Keys,
        },
        max_body_bytes: server.max_body_bytes,
        max_answer_bytes: server.max_answer_bytes as u64,
        max_connections: server.max_connections,
        max_requests_per_connection: server.max_requests_per_connection,
        task_budget: TaskBudget {
            messages: server.max_task_messages,
            bytes: server.max_task_bytes as u64,
        },
        max_queued: server.max_queued,
        max_queued_per_owner: server.max_queued_per_owner,
        max_queue_delay: server.max_queue_delay.get(),
        longest_wait: server.longest_wait.map(Into::into),
        attach_repeats: server.attach_repeats,
        cancel_grace: server.cancel_grace.get(),
        streaming: server.streaming,
        keep_alive: server.keep_alive.get(),
        drain: server.drain.get(),
        versions: Negotiation {
            assume: server.assume_version,
            v0_3: settings.a2a.serve_0_3,
            v0_1: settings.a2a.serve_0_1,
        },
        grpc_address: grpc_address(settings.cards.grpc),
        extended_cards: extended_cards(settings.cards.extended),
        about: deployment_info(&settings.cards),
    })
}

/// Returns warnings about addresses on cards that clients cannot use, for a node that listens on
/// `address`.
pub fn address_warnings(settings: &Settings, address: SocketAddr) -> Vec<String> {
    let (server, cards) = (&settings.server, &settings.cards);
    let mut warnings = Vec::new();
    if let Some(url) = &server.public_url
        && is_loopback_url(url)
        && !address.ip().to_canonical().is_loopback()
    {
        warnings.push(format!(
            "server.public_url: cards name {url}, which leads every other machine to itself; set the address that clients use"
        ));
    }
    let signs = !cards.signing_keys.is_empty();
    if signs && server.public_url.is_none() && server.allowed_hosts.is_empty() {
        warnings.push(
            "server.public_url: without it, and without server.allowed_hosts, cards are not signed: anybody could have one \
             signed for another address"
                .to_owned(),
        );
    }
    for network in server.trusted_proxies.iter().filter_map(|text| settings::parse_network(text)) {
        if network.prefix_len() == 0 {
            warnings.push(format!(
                "server.trusted_proxies: {network} is everybody, so every client may say which address cards name"
            ));
        }
    }
    warnings
}

/// Returns true if the host of a URL is this machine.
fn is_loopback_url(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let host = bracketed
        .map_or_else(|| authority.split(':').next().unwrap_or_default(), |(address, _)| address);
    let ip = host.parse::<IpAddr>().ok();
    // Names below `localhost` are loopback too (RFC 6761, 6.3), and clients resolve an unspecified
    // address to themselves.
    host == "localhost"
        || host.ends_with(".localhost")
        || ip.is_some_and(|ip| ip.to_canonical().is_loopback() || ip.is_unspecified())
}

const fn grpc_address(setting: settings::GrpcAddressFormat) -> GrpcAddress {
    match setting {
        settings::GrpcAddressFormat::HostPort => GrpcAddress::HostPort,
        settings::GrpcAddressFormat::Url => GrpcAddress::Url,
        settings::GrpcAddressFormat::Off => GrpcAddress::Off,
    }
}

const fn extended_cards(setting: settings::ExtendedCardMode) -> ExtendedCards {
    match setting {
        settings::ExtendedCardMode::Authenticated => ExtendedCards::Authenticated,
        settings::ExtendedCardMode::Always => ExtendedCards::Always,
        settings::ExtendedCardMode::Off => ExtendedCards::Off,
    }
}

/// Converts the deployment's entries on cards. The settings name a provider's organization and URL
/// together or not at all.
fn deployment_info(cards: &settings::AgentCardSettings) -> DeploymentInfo {
    let provider = cards.provider.clone().zip(cards.provider_url.clone());
    DeploymentInfo {
        provider: provider.map(|(organization, url)| AgentProvider { url, organization }),
        documentation_url: cards.documentation_url.clone(),
        icon_url: cards.icon_url.clone(),
    }
}

/// Converts settings to the options of a worker.
pub fn worker_options(settings: &Settings) -> WorkerOptions {
    let worker = &settings.worker;
    WorkerOptions {
        name: worker_name(),
        concurrency: worker.concurrency,
        probe_interval: worker.probe_interval.get(),
        lease: worker.lease.get(),
        max_losses: worker.max_losses,
        drain: worker.drain.get(),
        grace: EXECUTOR_GRACE,
    }
}

/// Returns the worker's name for people: host and process id.
fn worker_name() -> String {
    // The process id tells workers of one host apart.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}

/// Returns the URL of a listen address from this machine; an unspecified address becomes loopback.
pub fn local_url(address: SocketAddr) -> String {
    let mut address = address;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_reached_on_loopback() {
        assert_eq!(local_url("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(local_url("[::]:80".parse().unwrap()), "http://[::1]:80");
        assert_eq!(local_url("10.0.0.1:80".parse().unwrap()), "http://10.0.0.1:80");
    }

    #[test]
    fn limits_come_from_the_settings() {
        let mut settings = Settings::default();
        settings.server.max_queued = 7;
        settings.server.max_queued_per_owner = 3;
        settings.worker.max_losses = 2;
        let address = "127.0.0.1:9".parse().unwrap();
        let api = api_options(&settings, AuthMode::None, address).unwrap();
        assert_eq!((api.max_queued, api.max_queued_per_owner), (7, 3));
        assert_eq!(worker_options(&settings).max_losses, 2);
    }

    #[test]
    fn unusable_addresses_are_warned_of() {
        let warnings = |change: fn(&mut Settings), listen: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            address_warnings(&settings, listen.parse().unwrap())
        };
        let local: fn(&mut Settings) =
            |settings| settings.server.public_url = Some("http://localhost:8080/a".to_owned());
        let signs: fn(&mut Settings) =
            |settings| settings.cards.signing_keys = vec!["a".to_owned()];
        let listed: fn(&mut Settings) = |settings| {
            settings.cards.signing_keys = vec!["a".to_owned()];
            settings.server.allowed_hosts = vec!["agents.internal".to_owned()];
        };
        let everybody: fn(&mut Settings) =
            |settings| settings.server.trusted_proxies = vec!["0.0.0.0/0".to_owned()];
        for (change, listen, warns) in [
            (local, "0.0.0.0:8080", true),
            (local, "127.0.0.1:8080", false),
            (signs, "127.0.0.1:8080", true),
            (listed, "127.0.0.1:8080", false),
            (everybody, "127.0.0.1:8080", true),
        ] {
            assert_eq!(!warnings(change, listen).is_empty(), warns, "{listen}");
        }
        for (url, is) in [
            ("http://127.0.0.1", true),
            ("https://[::1]:8443/a", true),
            ("http://0.0.0.0:8080", true),
            ("https://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback_url(url), is, "{url}");
        }
    }
}
