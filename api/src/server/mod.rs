//! Connections: how many, how long they may be idle or stuck, and how they end.
//!
//! Nobody who connects can keep a connection without using it, or an answer without taking it, and none delays a drain for long: open requests are answered
//! within the drain, but a client has only a moment to take its answer. What a connection that is cut had asked for goes
//! on; its client asks again elsewhere.

mod connection;
mod guarded;
mod idle;
mod neglect;
mod slot;
mod stalling;
mod taking;

use axum::{Router, extract::Request, response::Response};
use longhaul_runtime::TaskSet;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long to wait when no connection can be accepted, as when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; further ones wait.
    pub connections: usize,
    /// Requests that are open at once on an HTTP/2 connection.
    pub streams: u32,
    /// Until the head of the first request is there.
    pub first_request: Duration,
    /// Until the head of a further request is there. Longer than proxies keep idle connections, or they would send requests
    /// into those that we are about to close.
    pub next_request: Duration,
    /// Until a client takes one more byte: of all that the connection carries, and on HTTP/2 of each answer.
    pub write: Duration,
    /// For taking the answers that are ready, when the node drains.
    pub linger: Duration,
}

impl Limits {
    /// The usual ones, with so many connections and so many requests at once on each.
    pub const fn with_connections(connections: usize, streams: u32) -> Self {
        Self {
            connections,
            streams,
            first_request: Duration::from_secs(15),
            next_request: Duration::from_secs(75),
            write: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}

/// What answers requests.
pub trait Answers: Clone + Send + Sync + 'static {
    /// Answers one, whatever happens.
    fn answer(&self, request: Request) -> impl Future<Output = Response> + Send;
}

impl Answers for Router {
    async fn answer(&self, request: Request) -> Response {
        match self.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Answers requests on connections.
#[derive(Clone)]
pub struct Server<A> {
    pub answers: A,
    /// True when requests carry the address of their peer.
    pub shows_peers: bool,
    pub limits: Limits,
    /// No further connection and no further request on those there are.
    pub draining: CancellationToken,
    /// The end of all connections.
    pub stop: CancellationToken,
}

impl<A: Answers> Server<A> {
    /// Serves until all connections have ended, some time after the drain begins.
    pub async fn serve(self, listener: TcpListener) {
        let most = self.limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        let mut room = Room { places: Arc::new(Semaphore::new(most)), full: false };
        let streams = Arc::new(Semaphore::new(most));
        let connections = TaskSet::new();
        while let Some((stream, place)) =
            self.draining.run_until_cancelled(room.next(&listener)).await
        {
            let (server, streams) = (self.clone(), Arc::clone(&streams));
            connections.spawn("connection", async move {
                server.connection(stream, &streams).await;
                drop(place);
            });
        }
        drop(listener);
        if !connections.is_empty() {
            tracing::info!(
                connections = connections.len(),
                "draining: waiting for open connections"
            );
        }
        connections.wait().await;
    }
}

/// Places for connections.
struct Room {
    places: Arc<Semaphore>,
    full: bool,
}

impl Room {
    /// The next connection and its place.
    async fn next(&mut self, listener: &TcpListener) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        let place = self.place().await;
        (accept(listener).await, place)
    }

    /// Waits for a place. While there is none, clients wait in the queue of the listener. `None` cannot be: the
    /// semaphore is never closed.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.places).try_acquire_owned();
        let was_full = std::mem::replace(&mut self.full, free.is_err());
        if self.full && !was_full {
            tracing::warn!("all connections are taken; further clients wait");
        }
        match free {
            Ok(place) => Some(place),
            Err(_) => Arc::clone(&self.places).acquire_owned().await.ok(),
        }
    }
}

/// The next connection, whatever happens to others.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error of accepting is that of the connection, not of the listener.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
