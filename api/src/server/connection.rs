//! One connection, from its first byte to its end.

use super::{
    RequestHandler, Server,
    idle_timeout::OpenStreams,
    request_slots::{self, RequestSlots},
    tracked_body::TrackedBody,
    write_timeout::{PendingResponses, WriteTimeoutExecutor, WriteTimeoutStream, current_progress},
};
use crate::bindings::Peer;
use axum::body::Body;
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use socket2::{SockRef, TcpKeepalive};
use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::Semaphore, time::sleep};

/// Interval of keep-alive probes to a silent client, and time that it has to answer one.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Largest headers of an HTTP/2 request, in bytes. Larger ones are refused alone, with 431. The
/// limit must exceed what two frames hold, or the connection would end instead, and all its other
/// requests with it.
const MAX_HEADER_BYTES: u32 = 48 << 10;

/// Requests on a connection.
#[derive(Default)]
struct ConnectionActivity {
    /// True once there was a request.
    used: AtomicBool,
    /// Requests that are not answered yet.
    open: AtomicUsize,
}

/// A request that is not answered yet.
struct OpenRequest(Arc<ConnectionActivity>);

impl OpenRequest {
    fn new(activity: &Arc<ConnectionActivity>) -> Self {
        activity.used.store(true, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<H: RequestHandler> Server<H> {
    /// Serves a connection until it ends or times out, or the node stops.
    pub(super) async fn serve_connection(&self, stream: TcpStream, shared: &Arc<Semaphore>) {
        set_socket_options(&stream);
        let activity = Arc::new(ConnectionActivity::default());
        let slots = RequestSlots::new(shared);
        let peer = if self.shows_peers { stream.peer_addr().ok() } else { None };
        let service = service_fn(|mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(Peer(peer.ip()));
            }
            // Counted before the slot is known: a refused request is a request, too.
            let open = OpenRequest::new(&activity);
            let (handler, slot) = (self.handler.clone(), slots.try_acquire());
            async move {
                if slot.is_none() {
                    return Ok(request_slots::too_many_requests(&request)
                        .map(|body| TrackedBody::new(body, current_progress(), None)));
                }
                // Boxed, so that an idle connection or a stream does not keep the memory of a
                // request's future.
                let response = Box::pin(handler.handle(request.map(Body::new))).await;
                // Answered: for the client's reading a drain waits only a moment.
                drop(open);
                Ok::<_, Infallible>(
                    response.map(|body| TrackedBody::new(body, current_progress(), slot)),
                )
            }
        });
        let (pending, streams) =
            (Arc::new(PendingResponses::default()), Arc::new(OpenStreams::default()));
        let builder = self.builder(&pending, &streams);
        let io = TokioIo::new(WriteTimeoutStream::new(stream, self.limits.write_timeout));
        let mut connection = pin!(builder.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.until_unused(&activity) => return,
            () = pending.until_timed_out(self.limits.write_timeout) => return,
            // Shut down gracefully: a request that is just arriving is still answered.
            () = streams.until_idle(self.limits.idle_timeout) => None,
            () = self.draining.cancelled() => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = self.until_lingered(&activity) => return,
                // The drain has timed out, or a second signal came.
                () = self.stop.cancelled() => return,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &*error, "connection failed");
        }
    }

    fn builder(
        &self,
        pending: &Arc<PendingResponses>,
        open_streams: &Arc<OpenStreams>,
    ) -> Builder<WriteTimeoutExecutor> {
        let (pending, open_streams) = (Arc::clone(pending), Arc::clone(open_streams));
        let timeout = self.limits.write_timeout;
        let mut builder = Builder::new(WriteTimeoutExecutor { pending, open_streams, timeout });
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.idle_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(PROBE_INTERVAL)
            .keep_alive_timeout(PROBE_TIMEOUT);
        builder
    }

    /// Returns when no request has come in time.
    async fn until_unused(&self, activity: &ConnectionActivity) {
        sleep(self.limits.first_request_timeout).await;
        if activity.used.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when a drain need not wait for this connection: its last request was answered a
    /// moment ago.
    async fn until_lingered(&self, activity: &ConnectionActivity) {
        loop {
            let answered = activity.open.load(Ordering::Relaxed) == 0;
            sleep(self.limits.linger).await;
            if answered && activity.open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

/// Disables Nagle's algorithm, so that small frames are sent at once, and enables keep-alive
/// probes, so that a vanished peer is noticed.
fn set_socket_options(stream: &TcpStream) {
    let probes = TcpKeepalive::new()
        .with_time(PROBE_INTERVAL)
        .with_interval(PROBE_INTERVAL / 3)
        .with_retries(3);
    let set =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&probes));
    if let Err(error) = set {
        tracing::debug!(%error, "socket options not set");
    }
}
