//! Socket options of the connections to the database.
//!
//! The driver opens sockets without `TCP_NODELAY` and keeps them to itself. A batch that is larger than one segment would
//! then wait for the server's delayed acknowledgement, up to 40 ms each time. Every place that connects therefore tunes the
//! connections to the port afterwards; one that was missed would be slow, not wrong.

use longhaul_os::{SocketTuning, tune_connections};
use sqlx_postgres::PgConnectOptions;
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex as AsyncMutex;

/// Notices within 30 seconds that the other machine is gone, also where the server's own probes cannot arrive.
const TUNING: SocketTuning = SocketTuning {
    keepalive_idle: Duration::from_secs(10),
    keepalive_interval: Duration::from_secs(5),
    keepalive_probes: 3,
    user_timeout: Duration::from_secs(30),
};

/// Ports of the databases of this process.
static PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Walks over the descriptors that have begun.
static WALKS: AtomicU64 = AtomicU64::new(0);

/// One walk at a time.
static WALKING: AsyncMutex<()> = AsyncMutex::const_new(());

/// The TCP port of this address; none where it is a unix socket.
pub fn tcp_port(options: &PgConnectOptions) -> Option<u16> {
    let is_unix = options.get_socket().is_some() || options.get_host().starts_with('/');
    (!is_unix).then(|| options.get_port())
}

/// Tunes the connection that was just made to this port. Connections that are made at the same time, as after a switchover,
/// share one walk over the descriptors.
pub async fn tune(port: Option<u16>) {
    let Some(port) = port else { return };
    PORTS.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
    let begun = WALKS.load(Ordering::Acquire);
    let _turn = WALKING.lock().await;
    // A walk that has begun since the connection was made has found it.
    if WALKS.load(Ordering::Acquire) > begun {
        return;
    }
    WALKS.fetch_add(1, Ordering::AcqRel);
    let ports: Vec<u16> =
        PORTS.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    // With 10,000 clients connected it takes some milliseconds, which other tasks need not wait for.
    let tuned = tokio::task::spawn_blocking(move || tune_connections(&ports, TUNING)).await;
    if let Ok(Err(error)) = tuned {
        tracing::warn!(%error, "socket options not set: writes to the database may be slow");
    }
}
