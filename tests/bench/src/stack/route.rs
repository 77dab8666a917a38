//! Network routes from the processes to Postgres and RabbitMQ.

use longhaul_tests::{Broker, Database, Postgres, RabbitMq, proxy::Proxy};
use std::{fmt::Write, time::Duration};
use tokio::runtime::{Builder, Runtime};

/// A network route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkRoute {
    /// TCP over loopback.
    #[default]
    Tcp,
    /// A unix socket to Postgres; TCP to RabbitMQ, which has no sockets.
    UnixSocket,
    /// TCP with this delay each way, to both.
    Latency(Duration),
}

/// Addresses of the servers for the processes of a stack, and the proxies behind them.
pub(super) struct RoutedServers {
    pub(super) database: String,
    pub(super) broker: Broker,
    _proxies: Option<Proxies>,
}

impl RoutedServers {
    pub(super) fn new(
        route: NetworkRoute,
        (postgres, database): (&Postgres, &Database),
        (rabbit, broker): (&RabbitMq, Broker),
    ) -> Self {
        match route {
            NetworkRoute::Tcp => Self { database: database.url(), broker, _proxies: None },
            NetworkRoute::UnixSocket => {
                let database = database.url_through(&socket(postgres));
                Self { database, broker, _proxies: None }
            }
            NetworkRoute::Latency(delay) => {
                let proxies = Proxies::start([postgres.address(), rabbit.address()], delay);
                let [to_database, to_broker] = &proxies.proxies;
                Self {
                    database: database.url_through(&to_database.address()),
                    broker: broker.through(&to_broker.address()),
                    _proxies: Some(proxies),
                }
            }
        }
    }
}

/// Host and port of a URL that stand for Postgres' socket folder and port.
fn socket(postgres: &Postgres) -> String {
    let mut host = String::new();
    for byte in postgres.socket_folder().as_os_str().as_encoded_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(host, "%{byte:02x}");
    }
    let address = postgres.address();
    let port = address.rsplit(':').next().unwrap_or_default();
    format!("{host}:{port}")
}

/// Proxies on a thread of their own: the driver's thread would add to the delay.
struct Proxies {
    proxies: [Proxy; 2],
    runtime: Option<Runtime>,
}

impl Proxies {
    fn start(upstreams: [String; 2], delay: Duration) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("another thread can be started");
        let handle = runtime.handle().clone();
        // Blocking is not allowed on the driver's thread.
        let started = std::thread::spawn(move || {
            upstreams.map(|upstream| {
                let proxy = handle.block_on(Proxy::before(&upstream));
                proxy.latency(delay);
                proxy
            })
        });
        let proxies = started.join().expect("a proxy starts");
        Self { proxies, runtime: Some(runtime) }
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
