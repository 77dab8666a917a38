//! Socket options of database connections.
//!
//! The driver opens sockets without `TCP_NODELAY` and does not expose them. A batch larger than one
//! segment would wait up to 40 ms for the server's delayed acknowledgement. After connecting, the
//! process therefore tunes all its connections to the database's port. A connection that is missed
//! is slow, not wrong.

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

/// Socket options that detect a lost peer within 30 seconds, even where the server's own probes
/// cannot arrive.
const SOCKET_TUNING: SocketTuning = SocketTuning {
    keepalive_idle: Duration::from_secs(10),
    keepalive_interval: Duration::from_secs(5),
    keepalive_probes: 3,
    user_timeout: Duration::from_secs(30),
};

/// Ports of this process's databases.
static DATABASE_PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Number of walks over the file descriptors that have begun.
static WALKS_BEGUN: AtomicU64 = AtomicU64::new(0);

/// Serialises walks.
static WALK_LOCK: AsyncMutex<()> = AsyncMutex::const_new(());

/// Returns the TCP port of an address; `None` for a unix socket.
pub fn tcp_port(options: &PgConnectOptions) -> Option<u16> {
    let is_unix = options.get_socket().is_some() || options.get_host().starts_with('/');
    (!is_unix).then(|| options.get_port())
}

/// Tunes the connections to this port, including the one that was just opened. Connections that are
/// opened at the same time, as after a switchover, share one walk over the file descriptors.
pub async fn tune_connections_to(port: Option<u16>) {
    let Some(port) = port else { return };
    // Remember the port: later walks tune the connections to every known database.
    DATABASE_PORTS.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
    let walks_before = WALKS_BEGUN.load(Ordering::Acquire);
    let _turn = WALK_LOCK.lock().await;
    // A walk that began after the connection was opened has found it.
    if WALKS_BEGUN.load(Ordering::Acquire) > walks_before {
        return;
    }
    WALKS_BEGUN.fetch_add(1, Ordering::AcqRel);
    let ports: Vec<u16> =
        DATABASE_PORTS.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    // With 10,000 clients connected this takes milliseconds, so it must not block the runtime.
    let tuned = tokio::task::spawn_blocking(move || tune_connections(&ports, SOCKET_TUNING)).await;
    if let Ok(Err(error)) = tuned {
        tracing::warn!(%error, "setting socket options failed: writes to the database may be slow");
    }
}
