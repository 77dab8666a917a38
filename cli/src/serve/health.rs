//! `/healthz` and `/readyz` of a worker, and its database check.

use crate::exit::CommandError;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get, serve::ListenerExt};
use longhaul_runtime::{
    Readiness, Shutdown,
    readiness::{ComponentHandle, ReadinessSnapshot},
    spawn,
};
use longhaul_store::{Store, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time};

/// Pause between database checks. A worker with a free slot notices failures sooner, as it claims.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct HealthState {
    readiness: Readiness,
    shutdown: Shutdown,
}

/// Serves until the process ends; not ready while it drains.
pub fn start(listener: TcpListener, readiness: Readiness, shutdown: Shutdown) {
    let stop = shutdown.stop_now().clone();
    let routes = routes(HealthState { readiness, shutdown });
    spawn("health", async move {
        stop.run_until_cancelled(async {
            let listener = listener.tap_io(|stream| {
                // Best effort: with delayed packets an answer is merely slower.
                let _ = stream.set_nodelay(true);
            });
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "health server failed");
            }
        })
        .await;
    });
}

/// Checks the database until the process ends, and reports its readiness: a worker without a free
/// slot makes no request, and would not notice a failure.
pub fn monitor_database(store: Arc<dyn Store>, component: ComponentHandle, shutdown: &Shutdown) {
    let stop = shutdown.stop_now().clone();
    spawn("monitor database", async move {
        stop.run_until_cancelled(async {
            loop {
                check_once(store.check(), &component).await;
                time::sleep(CHECK_INTERVAL).await;
            }
        })
        .await;
    });
}

async fn check_once(
    check: impl Future<Output = Result<(), StoreError>>,
    component: &ComponentHandle,
) {
    match time::timeout(CHECK_TIMEOUT, check).await {
        Ok(Ok(())) => component.set_ok(),
        Ok(Err(error)) => {
            tracing::debug!(%error, "database check failed");
            component.set_failed("cannot be reached or written to");
        }
        Err(_) => component.set_failed("does not answer"),
    }
}

fn routes(health: HealthState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<HealthState>) -> (StatusCode, Json<ReadinessSnapshot>) {
    let mut snapshot = health.readiness.snapshot();
    // A draining worker claims nothing, however healthy it is.
    snapshot.ready &= !health.shutdown.draining().is_cancelled();
    let status = if snapshot.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(snapshot))
}

/// Binds a listener; the error names the flag that changes the address.
pub async fn bind(address: std::net::SocketAddr, flag: &str) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|error| {
        let sentence = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {} of {} is in use by another program; choose another with {flag}",
                address.port(),
                address.ip()
            ),
            _ => format!("cannot listen on {address}: {error}; choose another address with {flag}"),
        };
        CommandError::failed(sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_reported_with_the_flag_that_changes_it() {
        let taken = bind(([127, 0, 0, 1], 0).into(), "--listen").await.unwrap();
        let address = taken.local_addr().unwrap();
        let refused = bind(address, "--listen").await.unwrap_err().to_string();
        assert!(refused.contains(&address.port().to_string()) && refused.contains("--listen"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_database_is_ready_if_it_answers_in_time() {
        let readiness = Readiness::new();
        let component = readiness.component("database");
        check_once(async { Ok(()) }, &component).await;
        assert!(readiness.is_ready());
        let reason = || readiness.snapshot().components["database"].reason.clone();
        check_once(async { Err(StoreError::Unavailable("of host db".to_owned())) }, &component)
            .await;
        assert_eq!(reason().as_deref(), Some("cannot be reached or written to"));
        check_once(std::future::pending(), &component).await;
        assert_eq!(reason().as_deref(), Some("does not answer"));
        check_once(async { Ok(()) }, &component).await;
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn a_draining_worker_is_not_ready() {
        let health = HealthState { readiness: Readiness::new(), shutdown: Shutdown::new() };
        assert_eq!(ready(State(health.clone())).await.0, StatusCode::OK);
        health.shutdown.drain();
        assert_eq!(ready(State(health)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
