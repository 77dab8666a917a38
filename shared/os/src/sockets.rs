//! Options of sockets that libraries open and do not expose.
//!
//! Guarantee: a call sets the options on every TCP connection of this process to the given ports,
//! whichever library opened it. A failure in between leaves the remaining sockets unchanged; the
//! next call sets them.

use socket2::{SockRef, TcpKeepalive};
use std::{io, os::fd::BorrowedFd, time::Duration};

/// The options of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketTuning {
    /// Idle time before the first keep-alive probe.
    pub keepalive_idle: Duration,
    /// Interval between probes.
    pub keepalive_interval: Duration,
    /// Number of unanswered probes after which the connection is closed.
    pub keepalive_probes: u32,
    /// Maximum time that sent data may stay unacknowledged before the connection is closed.
    pub user_timeout: Duration,
}

/// The directory that lists the process's open descriptors by number.
const DESCRIPTORS_DIR: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Sets `TCP_NODELAY` and keep-alive on all connections to one of these ports that lack
/// `TCP_NODELAY`, and returns their number. Blocks: it makes two system calls per descriptor of the
/// process.
pub fn tune_connections(ports: &[u16], tuning: SocketTuning) -> io::Result<usize> {
    let mut tuned = 0;
    for entry in std::fs::read_dir(DESCRIPTORS_DIR)? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number
            && tune(number, ports, tuning)?
        {
            tuned += 1;
        }
    }
    Ok(tuned)
}

#[allow(
    unsafe_code,
    reason = "no safe interface borrows a descriptor that a library does not expose"
)]
fn tune(number: i32, ports: &[u16], tuning: SocketTuning) -> io::Result<bool> {
    if number < 0 {
        return Ok(false);
    }
    // SAFETY: `borrow_raw` requires a number that is not -1 and stays open during the borrow. The
    // second cannot be guaranteed outside of the library that owns the descriptor, and is not
    // needed: the borrow ends within this function, which neither reads, writes, closes nor passes
    // on the descriptor, and no memory depends on it. If another thread closes it meanwhile, the
    // calls fail with EBADF. If its number is reused for another file, they fail with ENOTSOCK or
    // EOPNOTSUPP. If it is reused for another connection to such a port, that one gets the options
    // that it should have.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let socket = SockRef::from(&descriptor);
    // Skip non-TCP, closed and tuned sockets after one system call.
    if !matches!(socket.tcp_nodelay(), Ok(false)) {
        return Ok(false);
    }
    // Listeners and closed connections have no peer.
    let Ok(peer) = socket.peer_addr() else { return Ok(false) };
    if peer.as_socket().is_none_or(|peer| !ports.contains(&peer.port())) {
        return Ok(false);
    }
    let probes = TcpKeepalive::new()
        .with_time(tuning.keepalive_idle)
        .with_interval(tuning.keepalive_interval)
        .with_retries(tuning.keepalive_probes);
    let set = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&probes));
    #[cfg(target_os = "linux")]
    let set = set.and_then(|()| socket.set_tcp_user_timeout(Some(tuning.user_timeout)));
    match set {
        Ok(()) => Ok(true),
        // The connection was closed between the calls.
        Err(_) if socket.peer_addr().is_err() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const TUNING: SocketTuning = SocketTuning {
        keepalive_idle: Duration::from_secs(30),
        keepalive_interval: Duration::from_secs(10),
        keepalive_probes: 3,
        user_timeout: Duration::from_secs(30),
    };

    fn connected(address: &str) -> Option<(TcpListener, TcpStream, u16)> {
        let listener = TcpListener::bind(address).ok()?;
        let port = listener.local_addr().ok()?.port();
        Some((
            listener.try_clone().ok()?,
            TcpStream::connect((listener.local_addr().ok()?.ip(), port)).ok()?,
            port,
        ))
    }

    #[test]
    fn only_connections_to_the_port_are_tuned() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Some((_listener, ours, port)) = connected(address) else { continue };
            let (_other_listener, other, _) = connected(address).unwrap();
            assert_eq!(tune_connections(&[1, port], TUNING).unwrap(), 1, "{address}");
            assert!(ours.nodelay().unwrap() && !other.nodelay().unwrap(), "{address}");
            let socket = SockRef::from(&ours);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), TUNING.keepalive_idle);
            assert_eq!(tune_connections(&[1, port], TUNING).unwrap(), 0, "they are tuned already");
        }
    }

    #[test]
    fn other_descriptors_are_left_alone() {
        for number in [-1, 0, 1, 2, 1_000_000] {
            assert!(!tune(number, &[1], TUNING).unwrap());
        }
    }
}
