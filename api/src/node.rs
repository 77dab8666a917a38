//! An API node: its parts, their start and their end.

use crate::{
    agents::Agents,
    auth::authenticator,
    bindings::{Addresses, Bodies, Front, Gate},
    hub::Hub,
    options::ApiOptions,
    schedules,
    server::{Limits, Server},
    service::{Admission, Answers, Bounds, Service},
};
use longhaul_dispatch::Waker;
use longhaul_domain::SignalChannel;
use longhaul_runtime::{
    Clock, IdSource, Readiness, Shutdown, SystemClock, TaskSet, readiness::ComponentHandle,
};
use longhaul_store::Store;
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

/// How often the store is asked whether it answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long the store may take to answer.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// What a node is made of.
pub struct ApiParts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Wakes workers.
    pub waker: Arc<dyn Waker>,
    /// Ids and randomness.
    pub ids: Arc<dyn IdSource>,
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
    limits: Limits,
}

impl Api {
    /// Starts what goes on besides requests. Must be called within a Tokio runtime.
    pub fn start(parts: ApiParts, options: ApiOptions) -> Self {
        Self::with_clock(parts, options, Arc::new(SystemClock))
    }

    /// The same with another clock, which only says whether a client's deadline has passed and when a schedule that is
    /// put is due next; everything else goes by the store's.
    pub(crate) fn with_clock(parts: ApiParts, options: ApiOptions, clock: Arc<dyn Clock>) -> Self {
        let ApiParts { store, waker, ids, readiness, shutdown, .. } = parts;
        let tasks = TaskSet::new();
        let hub = Hub::start(Arc::clone(&store), &tasks, readiness.component("signals"));
        let stop = tasks.stopping().clone();
        let checking = check(Arc::clone(&store), readiness.component("store"));
        tasks.spawn("check-store", async move {
            stop.run_until_cancelled(checking).await;
        });
        let authenticator = authenticator(options.authentication, Arc::clone(&store));
        let drain = options.drain;
        let limits =
            Limits::with_connections(options.max_connections, options.max_requests_per_connection);
        let bounds = Bounds {
            queued: options.max_queued,
            queued_per_owner: options.max_queued_per_owner,
            delay: options.max_queue_delay,
        };
        let service = Arc::new(Service {
            agents: Agents::new(Arc::clone(&store)),
            answers: Answers::new(options.max_answer_bytes),
            admission: Admission::new(Arc::clone(&store), bounds),
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
        let gate = Gate {
            negotiation: service.options.versions,
            keep_alive: service.options.keep_alive,
            bodies: Arc::new(Bodies::new(service.options.max_body_bytes)),
            addresses: Arc::new(Addresses::new(&service.options)),
            since: Arc::default(),
            readiness,
            service,
            authenticator,
        };
        Self { gate, tasks, shutdown, drain, limits }
    }

    #[cfg(test)]
    pub(crate) fn service(&self) -> Arc<Service> {
        Arc::clone(&self.gate.service)
    }

    /// Every route.
    #[cfg(test)]
    pub(crate) fn router(&self) -> axum::Router {
        crate::bindings::router(self.gate.clone())
    }

    /// What answers every request.
    pub(crate) fn front(&self) -> Front {
        Front::new(self.gate.clone())
    }

    /// Serves until the process shuts down: then waiting requests answer, streams close, and connections end. No
    /// error of the listener ends it: it is logged, and waited for.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let server = Server {
            answers: self.front(),
            shows_peers: !self.gate.service.options.trusted_proxies.is_empty(),
            limits: self.limits,
            draining: self.shutdown.draining().clone(),
            stop: self.shutdown.stop_now().clone(),
        };
        self.shutdown.wait(self.drain, server.serve(listener)).await;
        self.tasks.stop_and_wait().await;
        Ok(())
    }
}

async fn check(store: Arc<dyn Store>, readiness: ComponentHandle) {
    loop {
        match timeout(CHECK_LIMIT, store.check()).await {
            Ok(Ok(())) => readiness.set_ok(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store is not ready");
                readiness.set_failed("the store does not answer");
            }
            // As when packets vanish: neither an answer nor an error.
            Err(_) => readiness.set_failed("the store does not answer"),
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
