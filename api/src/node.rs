//! An API node: its parts, their start and their end.

use crate::{
    agents::Agents,
    auth::authenticator,
    bindings::{Gate, router},
    hub::Hub,
    options::ApiOptions,
    service::Service,
};
use axum::{Router, serve::ListenerExt};
use longhaul_dispatch::Waker;
use longhaul_runtime::{Clock, Ids, Readiness, Shutdown, TaskSet, readiness::Handle};
use longhaul_store::Store;
use longhaul_wire::dialect::Negotiation;
use std::{future::IntoFuture, io, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How often the store is asked whether it answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// What a node is made of.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Wakes workers.
    pub waker: Arc<dyn Waker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub ids: Arc<dyn Ids>,
    /// Where the node reports its health.
    pub readiness: Readiness,
    /// When to end.
    pub shutdown: Shutdown,
}

/// An API node.
pub struct Api {
    gate: Gate,
    tasks: TaskSet,
    shutdown: Shutdown,
    drain: Duration,
}

impl Api {
    /// Starts what goes on besides requests. Must be called within a Tokio runtime.
    pub fn start(parts: Parts, options: ApiOptions) -> Self {
        let Parts { store, waker, clock, ids, readiness, shutdown } = parts;
        let tasks = TaskSet::new();
        let hub = Hub::start(Arc::clone(&store), &tasks, readiness.component("signals"));
        let stop = tasks.stopping().clone();
        let checking = check(Arc::clone(&store), readiness.component("store"));
        tasks.spawn("check-store", async move {
            stop.run_until_cancelled(checking).await;
        });
        let authenticator =
            authenticator(options.authentication, Arc::clone(&store), Arc::clone(&clock));
        let drain = options.drain;
        let gate = Gate {
            negotiation: Negotiation { assume: options.assume_version },
            keep_alive: options.keep_alive,
            max_body_bytes: options.max_body_bytes,
            readiness,
            service: Arc::new(Service {
                agents: Agents::new(Arc::clone(&store), clock),
                store,
                hub,
                waker,
                ids,
                authenticated: authenticator.required(),
                draining: shutdown.draining().clone(),
                options,
            }),
            authenticator,
        };
        Self { gate, tasks, shutdown, drain }
    }

    /// Every route.
    pub fn router(&self) -> Router {
        router(self.gate.clone())
    }

    /// Serves until the process shuts down: then waiting requests answer, streams close, and connections end.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        // Small frames must not wait for one another.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot switch off delays of a connection");
            }
        });
        let draining = self.shutdown.draining().clone();
        let server = axum::serve(listener, self.router())
            .with_graceful_shutdown(async move { draining.cancelled().await })
            .into_future();
        tokio::pin!(server);
        let mut result = Ok(());
        let ended = async { result = server.await };
        self.shutdown.wait(self.drain, ended).await;
        self.tasks.stop_and_wait().await;
        result
    }
}

async fn check(store: Arc<dyn Store>, readiness: Handle) {
    loop {
        match store.check().await {
            Ok(()) => readiness.set_ok(),
            Err(error) => {
                tracing::debug!(%error, "the store is not ready");
                readiness.set_failed("the store does not answer");
            }
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
