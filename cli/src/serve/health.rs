//! `/healthz` and `/readyz` of a worker.

use crate::exit::Failure;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use longhaul_runtime::{Readiness, Shutdown, readiness::Snapshot, spawn};
use tokio::net::TcpListener;

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
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "/healthz and /readyz are not served any more");
            }
        })
        .await;
    });
}

fn routes(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<Snapshot>) {
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

    #[tokio::test]
    async fn a_worker_that_drains_is_not_ready() {
        let health = Health { readiness: Readiness::new(), shutdown: Shutdown::new() };
        assert_eq!(ready(State(health.clone())).await.0, StatusCode::OK);
        health.shutdown.drain();
        assert_eq!(ready(State(health)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
