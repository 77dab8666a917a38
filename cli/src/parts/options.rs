//! From settings to the options of API and worker.

use super::cards;
use crate::{exit::Failure, serve::GRACE};
use longhaul_api::{ApiOptions, Authentication, ExtendedCards};
use longhaul_domain::AgentName;
use longhaul_runtime::{
    Settings,
    settings::{self, AuthMode},
};
use longhaul_wire::{Negotiation, card::About, interfaces::GrpcAddress, v1::card::AgentProvider};
use longhaul_worker::WorkerOptions;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// How the API is run. `address` is where it listens.
pub fn api_options(
    settings: &Settings,
    mode: AuthMode,
    address: SocketAddr,
) -> Result<ApiOptions, Failure> {
    let server = &settings.server;
    let named = server.default_agent.as_deref().map(AgentName::new).transpose();
    let default_agent = named
        .map_err(|error| Failure::usage(format!("configuration: server.default_agent: {error}")))?;
    let public_url = server.public_url.clone().unwrap_or_else(|| url_of(address));
    Ok(ApiOptions {
        card_signer: cards::signer(settings, &public_url)?,
        public_url,
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
        about: about(&settings.cards),
    })
}

const fn grpc_address(setting: settings::GrpcAddress) -> GrpcAddress {
    match setting {
        settings::GrpcAddress::HostPort => GrpcAddress::HostPort,
        settings::GrpcAddress::Url => GrpcAddress::Url,
        settings::GrpcAddress::Off => GrpcAddress::Off,
    }
}

const fn extended_cards(setting: settings::ExtendedCards) -> ExtendedCards {
    match setting {
        settings::ExtendedCards::Authenticated => ExtendedCards::Authenticated,
        settings::ExtendedCards::Always => ExtendedCards::Always,
        settings::ExtendedCards::Off => ExtendedCards::Off,
    }
}

/// A provider has a name and a site: settings have both or neither.
fn about(cards: &settings::Cards) -> About {
    let provider = cards.provider.clone().zip(cards.provider_url.clone());
    About {
        provider: provider.map(|(organization, url)| AgentProvider { url, organization }),
        documentation_url: cards.documentation_url.clone(),
        icon_url: cards.icon_url.clone(),
    }
}

/// How a worker is run.
pub fn worker_options(settings: &Settings) -> WorkerOptions {
    let worker = &settings.worker;
    WorkerOptions {
        name: worker_name(),
        concurrency: worker.concurrency,
        probe_interval: worker.probe_interval.get(),
        lease: worker.lease.get(),
        max_losses: worker.max_losses,
        drain: worker.drain.get(),
        grace: GRACE,
    }
}

/// Host and process, for people.
fn worker_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}

/// The URL of an address, from this machine: one that stands for all interfaces becomes loopback.
pub fn url_of(address: SocketAddr) -> String {
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
    fn an_address_for_all_interfaces_is_reached_on_loopback() {
        assert_eq!(url_of("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
        assert_eq!(url_of("[::]:80".parse().unwrap()), "http://[::1]:80");
        assert_eq!(url_of("10.0.0.1:80".parse().unwrap()), "http://10.0.0.1:80");
    }

    #[test]
    fn limits_of_nodes_and_workers_are_those_of_the_settings() {
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
    fn cards_name_the_public_url_or_else_the_address() {
        let address = "127.0.0.1:9".parse().unwrap();
        let mut settings = Settings::default();
        let url = |settings: &Settings| {
            api_options(settings, AuthMode::None, address).unwrap().public_url
        };
        assert_eq!(url(&settings), "http://127.0.0.1:9");
        settings.server.public_url = Some("https://a".to_owned());
        assert_eq!(url(&settings), "https://a");
    }
}
