//! Socket options of the connections to the database.
//!
//! The driver opens sockets without `TCP_NODELAY` and keeps them to itself. A batch that is larger than one segment would
//! then wait for the server's delayed acknowledgement, up to 40 ms each time. Every place that connects therefore tunes the
//! connections to the port afterwards; one that was missed would be slow, not wrong.

use longhaul_os::{SocketTuning, tune_connections};
use sqlx_postgres::PgConnectOptions;
use std::time::Duration;

/// Notices within 30 seconds that the other machine is gone, also where the server's own probes cannot arrive.
const TUNING: SocketTuning = SocketTuning {
    keepalive_idle: Duration::from_secs(10),
    keepalive_interval: Duration::from_secs(5),
    keepalive_probes: 3,
    user_timeout: Duration::from_secs(30),
};

/// The TCP port of this address; none where it is a unix socket.
pub fn tcp_port(options: &PgConnectOptions) -> Option<u16> {
    let is_unix = options.get_socket().is_some() || options.get_host().starts_with('/');
    (!is_unix).then(|| options.get_port())
}

/// Tunes the connection that was just made to this port.
pub async fn tune(port: Option<u16>) {
    let Some(port) = port else { return };
    // With 10,000 clients connected it takes some milliseconds, which other tasks need not wait for.
    let tuned = tokio::task::spawn_blocking(move || tune_connections(port, TUNING)).await;
    if let Ok(Err(error)) = tuned {
        tracing::warn!(%error, "socket options not set: writes to the database may be slow");
    }
}
