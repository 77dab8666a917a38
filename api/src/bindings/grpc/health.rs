//! Health (`grpc.health.v1`) and reflection (`grpc.reflection.v1` and `v1alpha`), which tools
//! expect of a gRPC server.

use crate::bindings::AppState;
use async_trait::async_trait;
use axum::Router;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use longhaul_proto::pb;
use longhaul_runtime::Readiness;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, codec::CompressionEncoding};
use tonic_health::pb::{
    FILE_DESCRIPTOR_SET, HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, Health, HealthServer},
};
use tonic_reflection::server::Builder;

const REFLECTION_SERVICE: &str = "grpc.reflection.v1.ServerReflection";
const LEGACY_REFLECTION_SERVICE: &str = "grpc.reflection.v1alpha.ServerReflection";

/// Names of these services.
pub const SERVICE_NAMES: [&str; 3] =
    [health_server::SERVICE_NAME, REFLECTION_SERVICE, LEGACY_REFLECTION_SERVICE];

/// Interval at which watchers learn of a change.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Largest request, in bytes: callers need no credentials.
const MAX_REQUEST_BYTES: usize = 16 << 10;

/// Routes of these services.
pub fn routes(state: &AppState) -> Router {
    let draining = state.service.draining.clone();
    let health = HealthServer::new(NodeHealth { readiness: state.readiness.clone(), draining })
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .accept_compressed(CompressionEncoding::Gzip);
    let mut router = Router::new().route_service(&path(health_server::SERVICE_NAME), health);
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
    };
    // The compiled-in descriptors are valid; if not, only reflection would be missing.
    if let Ok(service) = described().build_v1() {
        let service = service.max_decoding_message_size(MAX_REQUEST_BYTES);
        let service = service.accept_compressed(CompressionEncoding::Gzip);
        router = router.route_service(&path(REFLECTION_SERVICE), service);
    }
    if let Ok(service) = described().build_v1alpha() {
        let service = service.max_decoding_message_size(MAX_REQUEST_BYTES);
        let service = service.accept_compressed(CompressionEncoding::Gzip);
        router = router.route_service(&path(LEGACY_REFLECTION_SERVICE), service);
    }
    router
}

fn path(service: &str) -> String {
    format!("/{service}/{{*method}}")
}

/// Health of the node.
#[derive(Clone)]
struct NodeHealth {
    readiness: Readiness,
    draining: CancellationToken,
}

impl NodeHealth {
    fn status(&self) -> ServingStatus {
        if self.readiness.is_ready() && !self.draining.is_cancelled() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

fn is_known(service: &str) -> bool {
    let served = [
        "",
        pb::v1::a2a_service_server::SERVICE_NAME,
        pb::v0::a2a_service_server::SERVICE_NAME,
        health_server::SERVICE_NAME,
    ];
    served.contains(&service)
}

#[async_trait]
impl Health for NodeHealth {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(HealthCheckResponse { status: self.status().into() }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if !is_known(&request.get_ref().service) {
            let status = ServingStatus::ServiceUnknown.into();
            return Ok(Response::new(stream::iter([Ok(HealthCheckResponse { status })]).boxed()));
        }
        let changes = stream::unfold((self.clone(), None), |(now, last)| async move {
            // A draining node has reported it, and reports no more.
            while Some(now.status()) == last {
                if now.draining.is_cancelled() {
                    return None;
                }
                now.draining.run_until_cancelled(sleep(WATCH_INTERVAL)).await;
            }
            let status = now.status();
            Some((Ok(HealthCheckResponse { status: status.into() }), (now, Some(status))))
        });
        Ok(Response::new(changes.boxed()))
    }
}
