//! A hold on the TCP socket beneath a connection.
//!
//! Guarantee: when the guard goes, the socket is shut down, also when it comes into being only later. The AMQP client's
//! thread then sees the end and leaves, which it would not do for a peer that is merely silent.

use std::{
    io,
    net::{self, Shutdown},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::net::TcpStream;

#[derive(Default)]
enum State {
    #[default]
    Dialing,
    Connected(net::TcpStream),
    GivenUp,
}

/// The dialling side.
#[derive(Clone, Default)]
pub(super) struct Socket(Arc<Mutex<State>>);

/// The owning side.
#[derive(Default)]
pub(super) struct SocketGuard(Socket);

impl Socket {
    /// Hands over a socket that was just connected; an error when nobody wants it any more.
    pub(super) fn hold(&self, stream: &TcpStream) -> io::Result<()> {
        let handle = net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        let mut state = self.lock();
        if matches!(*state, State::GivenUp) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *state = State::Connected(handle);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketGuard {
    /// For the dialling side.
    pub(super) fn socket(&self) -> Socket {
        self.0.clone()
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.0.lock(), State::GivenUp);
        if let State::Connected(stream) = before {
            // A socket that cannot be shut down is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncReadExt, net::TcpListener};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn both_ends_see_the_end_when_the_guard_goes() {
        let (mut near, mut far) = pair().await;
        let guard = SocketGuard::default();
        guard.socket().hold(&near).unwrap();
        drop(guard);
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_socket_that_comes_too_late_is_refused() {
        let (near, _far) = pair().await;
        let guard = SocketGuard::default();
        let socket = guard.socket();
        drop(guard);
        assert!(socket.hold(&near).is_err());
    }
}
