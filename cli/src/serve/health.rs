//! `/healthz` and `/readyz` of a worker.

use crate::exit::Failure;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get, serve::ListenerExt};
use longhaul_runtime::{
    Readiness, Shutdown,
    readiness::{ComponentHandle, ReadinessSnapshot},
    spawn,
};
use longhaul_store::{Store, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time};

/// How often the database is looked at. A worker with a free slot notices by itself when it does not answer.
const LOOK: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Health {
    readiness: Readiness,
    shutdown: Shutdown,
}

/// Serves until the process ends. Says "not ready" while it drains.
pub fn start(listener: TcpListener, readiness: Readiness, shutdown: Shutdown) {
    let stop = shutdown.stop_now().clone();
    let routes = routes(Health { readiness, shutdown });
    spawn("health", async move {
        stop.run_until_cancelled(async {
            let listener = listener.tap_io(|stream| {
                // An answer waits for no acknowledgement; where that cannot be set it is merely slower.
                let _ = stream.set_nodelay(true);
            });
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "/healthz and /readyz are not served any more");
            }
        })
        .await;
    });
}

/// Reports until the process ends whether the database can be reached and written to: a worker that has no room asks it
/// for nothing, and would not notice.
pub fn watch(store: Arc<dyn Store>, component: ComponentHandle, shutdown: &Shutdown) {
    let stop = shutdown.stop_now().clone();
    spawn("look at the database", async move {
        stop.run_until_cancelled(async {
            loop {
                look(store.check(), &component).await;
                time::sleep(LOOK).await;
            }
        })
        .await;
    });
}

async fn look(check: impl Future<Output = Result<(), StoreError>>, component: &ComponentHandle) {
    match time::timeout(ANSWER, check).await {
        Ok(Ok(())) => component.set_ok(),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the database does not do its work");
            component.set_failed("cannot be reached or written to");
        }
        Err(_) => component.set_failed("does not answer"),
    }
}

fn routes(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<ReadinessSnapshot>) {
    let mut snapshot = health.readiness.snapshot();
    snapshot.ready &= !health.shutdown.draining().is_cancelled();
    let status = if snapshot.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}

/// Takes an address and port, or says which flag changes it.
pub async fn listen(address: std::net::SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {} of {} is in use by another program; choose another with {flag}",
                address.port(),
                address.ip()
            ),
            _ => format!("cannot listen on {address}: {error}; choose another address with {flag}"),
        };
        Failure::failed(sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
        let taken = listen(([127, 0, 0, 1], 0).into(), "--listen").await.unwrap();
        let address = taken.local_addr().unwrap();
        let refused = listen(address, "--listen").await.unwrap_err().to_string();
        assert!(refused.contains(&address.port().to_string()) && refused.contains("--listen"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_database_is_well_when_it_answers_in_time() {
        let readiness = Readiness::new();
        let component = readiness.component("database");
        look(async { Ok(()) }, &component).await;
        assert!(readiness.is_ready());
        let reason = || readiness.snapshot().components["database"].reason.clone();
        look(async { Err(StoreError::Unavailable("of host db".to_owned())) }, &component).await;
        assert_eq!(reason().as_deref(), Some("cannot be reached or written to"));
        look(std::future::pending(), &component).await;
        assert_eq!(reason().as_deref(), Some("does not answer"));
        look(async { Ok(()) }, &component).await;
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn a_worker_that_drains_is_not_ready() {
        let health = Health { readiness: Readiness::new(), shutdown: Shutdown::new() };
        assert_eq!(ready(State(health.clone())).await.0, StatusCode::OK);
        health.shutdown.drain();
        assert_eq!(ready(State(health)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
