//! Options of sockets that a library opened and does not hand out.
//!
//! Guarantee: every TCP connection of this process to the ports gets the options, whichever library made it. A crash between
//! two sockets leaves the rest as they were; another call sets them.

use socket2::{SockRef, TcpKeepalive};
use std::{io, os::fd::BorrowedFd, time::Duration};

/// Options of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketTuning {
    /// Silence after which the peer is probed.
    pub keepalive_idle: Duration,
    /// Time between two probes.
    pub keepalive_interval: Duration,
    /// Unanswered probes after which the connection is closed.
    pub keepalive_probes: u32,
    /// Time after which a connection is closed whose peer does not acknowledge what was sent.
    pub user_timeout: Duration,
}

/// The process's open descriptors, a number each.
const DESCRIPTORS: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Sets `TCP_NODELAY` and the keep-alives on all connections to one of these ports that have no `TCP_NODELAY` yet, and says
/// how many these were. Costs two system calls for each descriptor of the process, so it belongs on a thread that may block.
pub fn tune_connections(ports: &[u16], tuning: SocketTuning) -> io::Result<usize> {
    let mut tuned = 0;
    for entry in std::fs::read_dir(DESCRIPTORS)? {
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
    reason = "no safe interface borrows a descriptor that a library keeps to itself"
)]
fn tune(number: i32, ports: &[u16], tuning: SocketTuning) -> io::Result<bool> {
    if number < 0 {
        return Ok(false);
    }
    // SAFETY: `borrow_raw` asks for a number that is not -1 and stays open during the borrow. The second cannot be had from
    // outside of the library that owns it, and is not needed: the borrow ends within this function, which neither reads,
    // writes, closes nor hands on the descriptor, and no memory depends on it. Should another thread close it meanwhile, the
    // calls fail with EBADF; should its number be given to another file, they fail with ENOTSOCK or EOPNOTSUPP; should that
    // be another of our connections to such a port, it gets the options that all of these are to have.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let socket = SockRef::from(&descriptor);
    // Whatever is no TCP socket, no longer open or tuned already fails here, after one system call.
    if !matches!(socket.tcp_nodelay(), Ok(false)) {
        return Ok(false);
    }
    // A listener, and a connection that was closed meanwhile, has no peer.
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
        // It was closed between two of the calls.
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
    fn connections_to_the_port_are_tuned_and_no_others() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Some((_kept, ours, port)) = connected(address) else { continue };
            let (_also, other, _) = connected(address).unwrap();
            assert_eq!(tune_connections(&[1, port], TUNING).unwrap(), 1, "{address}");
            assert!(ours.nodelay().unwrap() && !other.nodelay().unwrap(), "{address}");
            let socket = SockRef::from(&ours);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), TUNING.keepalive_idle);
            assert_eq!(tune_connections(&[1, port], TUNING).unwrap(), 0, "they are tuned already");
        }
    }

    #[test]
    fn numbers_that_are_no_connections_do_no_harm() {
        for number in [-1, 0, 1, 2, 1_000_000] {
            assert!(!tune(number, &[1], TUNING).unwrap());
        }
    }
}
