//! The HTTP server: connection limits, timeouts and draining.
//!
//! No client can keep a connection without using it, or a response without reading it. A drain
//! answers the open requests, but waits only a moment for clients to take the answers. Work that a
//! cut connection had asked for goes on; its client asks again at another node.

mod connection;
mod idle_timeout;
mod request_slots;
mod tracked_body;
mod write_timeout;

use axum::{Router, extract::Request, response::Response};
use longhaul_runtime::TaskSet;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Pause after a failed accept, as when there are too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Limits and timeouts of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Most open connections; further clients wait.
    pub connections: usize,
    /// Most open requests on one HTTP/2 connection.
    pub streams: u32,
    /// Time until the head of the first request is complete.
    pub first_request_timeout: Duration,
    /// Time until the head of a further request is complete. Longer than proxies keep idle
    /// connections, so that they do not send requests into one that is about to close.
    pub idle_timeout: Duration,
    /// Longest time in which a client takes no byte: of the whole connection, and on HTTP/2 of each
    /// response.
    pub write_timeout: Duration,
    /// Time that clients have to take finished responses when the node drains.
    pub linger: Duration,
}

impl ConnectionLimits {
    /// The standard timeouts with these limits.
    pub const fn new(connections: usize, streams: u32) -> Self {
        Self {
            connections,
            streams,
            first_request_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}

/// Handles requests.
pub trait RequestHandler: Clone + Send + Sync + 'static {
    /// Answers a request; does not fail.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

impl RequestHandler for Router {
    async fn handle(&self, request: Request) -> Response {
        match self.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Serves requests on connections.
#[derive(Clone)]
pub struct Server<H> {
    pub handler: H,
    /// True when requests carry the address of their peer, see [`Peer`](crate::bindings::Peer).
    pub shows_peers: bool,
    pub limits: ConnectionLimits,
    /// Stops accepting connections, and further requests on the open ones.
    pub draining: CancellationToken,
    /// Ends all connections at once.
    pub stop: CancellationToken,
}

impl<H: RequestHandler> Server<H> {
    /// Serves until all connections have ended, some time after the drain begins.
    pub async fn serve(self, listener: TcpListener) {
        let max = self.limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        let mut permits =
            ConnectionPermits { semaphore: Arc::new(Semaphore::new(max)), exhausted: false };
        // Slots beyond a connection's own: as many as there may be connections.
        let shared_slots = Arc::new(Semaphore::new(max));
        let connections = TaskSet::new();
        while let Some((stream, permit)) =
            self.draining.run_until_cancelled(permits.accept(&listener)).await
        {
            let (server, shared_slots) = (self.clone(), Arc::clone(&shared_slots));
            connections.spawn("connection", async move {
                server.serve_connection(stream, &shared_slots).await;
                drop(permit);
            });
        }
        drop(listener);
        if !connections.is_empty() {
            tracing::info!(connections = connections.len(), "draining connections");
        }
        connections.wait().await;
    }
}

/// Permits for connections.
struct ConnectionPermits {
    semaphore: Arc<Semaphore>,
    /// True while the last connection had to wait for its permit.
    exhausted: bool,
}

impl ConnectionPermits {
    /// Accepts the next connection once there is a permit for it.
    async fn accept(
        &mut self,
        listener: &TcpListener,
    ) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        // The permit first: a client that was accepted must not wait for it.
        let permit = self.acquire().await;
        (accept(listener).await, permit)
    }

    /// Waits for a permit; meanwhile clients wait in the listener's backlog. Never `None`: the
    /// semaphore is never closed.
    async fn acquire(&mut self) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.semaphore).try_acquire_owned();
        let was_exhausted = std::mem::replace(&mut self.exhausted, free.is_err());
        if self.exhausted && !was_exhausted {
            tracing::warn!("connection limit reached");
        }
        match free {
            Ok(permit) => Some(permit),
            Err(_) => Arc::clone(&self.semaphore).acquire_owned().await.ok(),
        }
    }
}

/// Accepts the next connection; errors of single connections are skipped.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                tracing::error!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Tells an error of the accepted connection from one of the listener.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
