//! One connection, from its first byte to its end.

use super::{
    Answers, Server,
    guarded::Guarded,
    idle::Exchanges,
    neglect::{Left, Watching, taking},
    slot::{self, Slots},
    stalling::Stalling,
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

/// How often a silent client is asked whether it lives, and how long it has for the answer.
const PROBE: Duration = Duration::from_secs(30);
const PROBE_ANSWER: Duration = Duration::from_secs(20);

/// Most bytes in the headers of a request on HTTP/2. One with more is refused alone, with 431. Were it less than what two
/// frames hold, the connection would end instead, and all its other requests with it.
const HEADERS: u32 = 48 << 10;

/// What a connection does.
#[derive(Default)]
struct Activity {
    /// Whether there was a request.
    used: AtomicBool,
    /// Requests that are not answered yet.
    open: AtomicUsize,
}

/// A request that is not answered yet.
struct Open(Arc<Activity>);

impl Open {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.used.store(true, Ordering::Relaxed);
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<A: Answers> Server<A> {
    /// Serves a connection until it ends, or has to.
    pub(super) async fn connection(&self, stream: TcpStream, shared: &Arc<Semaphore>) {
        prepare(&stream);
        let activity = Arc::new(Activity::default());
        let slots = Slots::new(shared);
        let peer = if self.shows_peers { stream.peer_addr().ok() } else { None };
        let service = service_fn(|mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(Peer(peer.ip()));
            }
            let open = Open::new(&activity);
            let (answers, slot) = (self.answers.clone(), slots.take());
            async move {
                if slot.is_none() {
                    return Ok(
                        slot::refuse(&request).map(|body| Guarded::new(body, taking(), None))
                    );
                }
                // Apart, so that a connection does not keep the room of a request that is answered while it streams or idles.
                let response = Box::pin(answers.answer(request.map(Body::new))).await;
                drop(open);
                Ok::<_, Infallible>(response.map(|body| Guarded::new(body, taking(), slot)))
            }
        });
        let (left, exchanges) = (Arc::new(Left::default()), Arc::new(Exchanges::default()));
        let builder = self.builder(&left, &exchanges);
        let io = TokioIo::new(Stalling::new(stream, self.limits.write));
        let mut connection = pin!(builder.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.unused(&activity) => return,
            () = left.neglected(self.limits.write) => return,
            () = exchanges.idle(self.limits.next_request) => None,
            () = self.draining.cancelled() => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = self.lingered(&activity) => return,
                () = self.stop.cancelled() => return,
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &*error, "a connection failed");
        }
    }

    fn builder(&self, left: &Arc<Left>, exchanges: &Arc<Exchanges>) -> Builder<Watching> {
        let (left, exchanges) = (Arc::clone(left), Arc::clone(exchanges));
        let watching = Watching { left, exchanges, limit: self.limits.write };
        let mut builder = Builder::new(watching);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.next_request);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(HEADERS)
            .keep_alive_interval(PROBE)
            .keep_alive_timeout(PROBE_ANSWER);
        builder
    }

    /// Returns when no request has come in time.
    async fn unused(&self, activity: &Activity) {
        sleep(self.limits.first_request).await;
        if activity.used.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when a drain need not wait for this connection: every request was answered a moment ago.
    async fn lingered(&self, activity: &Activity) {
        loop {
            let answered = activity.open.load(Ordering::Relaxed) == 0;
            sleep(self.limits.linger).await;
            if answered && activity.open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

/// Small frames must not wait for one another, and a peer that vanished must be noticed.
fn prepare(stream: &TcpStream) {
    let probes = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE / 3).with_retries(3);
    let prepared =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&probes));
    if let Err(error) = prepared {
        tracing::debug!(%error, "a connection cannot be prepared");
    }
}
