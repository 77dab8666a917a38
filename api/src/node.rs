//! An API node: wiring, start and shutdown.

use crate::{
    agents::AgentDirectory,
    auth::authenticator,
    bindings::{Addresses, AppState, BodyReader, Dispatcher},
    hub::Hub,
    options::ApiOptions,
    schedules,
    server::{ConnectionLimits, Server},
    service::{Admission, QueueLimits, ResponseBudget, Service},
};
use longhaul_dispatch::Waker;
use longhaul_domain::SignalChannel;
use longhaul_runtime::{
    Clock, IdSource, Readiness, Shutdown, SystemClock, TaskSet, readiness::ComponentHandle,
};
use longhaul_store::Store;
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

/// Interval between store health checks.
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Time after which a store health check counts as failed.
const STORE_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Dependencies of a node.
pub struct ApiParts {
    /// The store, which is the source of truth.
    pub store: Arc<dyn Store>,
    /// Wakes workers.
    pub waker: Arc<dyn Waker>,
    /// Ids and randomness.
    pub ids: Arc<dyn IdSource>,
    /// Readiness registry to which the node reports.
    pub readiness: Readiness,
    /// Shutdown signal of the process.
    pub shutdown: Shutdown,
}

/// An API node.
pub struct Api {
    state: AppState,
    tasks: TaskSet,
    shutdown: Shutdown,
    drain: Duration,
    limits: ConnectionLimits,
}

impl Api {
    /// Starts the background tasks. Must be called within a Tokio runtime.
    pub fn start(parts: ApiParts, options: ApiOptions) -> Self {
        Self::with_clock(parts, options, Arc::new(SystemClock))
    }

    /// Starts a node with another clock. It decides only if a client's deadline has passed and when
    /// a new schedule is due next; everything else uses the store's clock.
    pub(crate) fn with_clock(parts: ApiParts, options: ApiOptions, clock: Arc<dyn Clock>) -> Self {
        let ApiParts { store, waker, ids, readiness, shutdown, .. } = parts;
        let tasks = TaskSet::new();
        let hub = Hub::start(Arc::clone(&store), &tasks, readiness.component("signals"));
        let stop = tasks.stopping().clone();
        let store_check = check_store(Arc::clone(&store), readiness.component("store"));
        tasks.spawn("check-store", async move {
            stop.run_until_cancelled(store_check).await;
        });
        let authenticator = authenticator(options.authentication, Arc::clone(&store));
        let drain = options.drain;
        let limits =
            ConnectionLimits::new(options.max_connections, options.max_requests_per_connection);
        let queue_limits = QueueLimits {
            queued: options.max_queued,
            queued_per_owner: options.max_queued_per_owner,
            delay: options.max_queue_delay,
        };
        let service = Arc::new(Service {
            agents: AgentDirectory::new(Arc::clone(&store)),
            response_budget: ResponseBudget::new(options.max_answer_bytes),
            admission: Admission::new(Arc::clone(&store), queue_limits),
            store,
            hub,
            waker,
            channel: SignalChannel::from_bits(ids.random_u128()),
            ids,
            clock,
            authenticated: authenticator.required(),
            schedules_changed: Notify::new(),
            draining: shutdown.draining().clone(),
            options,
        });
        schedules::start(&service, &tasks);
        let state = AppState {
            negotiation: service.options.versions,
            keep_alive: service.options.keep_alive,
            bodies: Arc::new(BodyReader::new(service.options.max_body_bytes)),
            addresses: Arc::new(Addresses::new(&service.options)),
            last_modified: Arc::default(),
            readiness,
            service,
            authenticator,
        };
        Self { state, tasks, shutdown, drain, limits }
    }

    #[cfg(test)]
    pub(crate) fn service(&self) -> Arc<Service> {
        Arc::clone(&self.state.service)
    }

    /// The axum router, without the dispatcher in front of it.
    #[cfg(test)]
    pub(crate) fn router(&self) -> axum::Router {
        crate::bindings::router(self.state.clone())
    }

    /// The handler of every request.
    pub(crate) fn dispatcher(&self) -> Dispatcher {
        Dispatcher::new(self.state.clone())
    }

    /// Serves until the process shuts down; then waiting requests are answered, streams close and
    /// connections end. Errors of the listener are logged and retried.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let server = Server {
            handler: self.dispatcher(),
            shows_peers: !self.state.service.options.trusted_proxies.is_empty(),
            limits: self.limits,
            draining: self.shutdown.draining().clone(),
            stop: self.shutdown.stop_now().clone(),
        };
        self.shutdown.wait(self.drain, server.serve(listener)).await;
        // After the connections: requests that are still open need the hub.
        self.tasks.stop_and_wait().await;
        Ok(())
    }
}

async fn check_store(store: Arc<dyn Store>, readiness: ComponentHandle) {
    loop {
        match timeout(STORE_CHECK_TIMEOUT, store.check()).await {
            Ok(Ok(())) => readiness.set_ok(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store is not ready");
                readiness.set_failed("the store does not answer");
            }
            // Neither an answer nor an error, as when packets are dropped.
            Err(_) => readiness.set_failed("the store does not answer"),
        }
        tokio::time::sleep(STORE_CHECK_INTERVAL).await;
    }
}
