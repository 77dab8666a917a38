//! From settings to the options of API and worker.

use crate::{exit::Failure, serve::GRACE};
use longhaul_api::{ApiOptions, Authentication};
use longhaul_domain::AgentName;
use longhaul_runtime::{Settings, settings::AuthMode};
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
    Ok(ApiOptions {
        public_url: server.public_url.clone().unwrap_or_else(|| url_of(address)),
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
        cancel_grace: server.cancel_grace.get(),
        keep_alive: server.keep_alive.get(),
        drain: server.drain.get(),
        assume_version: server.assume_version,
    })
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
