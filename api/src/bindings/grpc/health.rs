//! What tools ask of any gRPC server: whether it is well (`grpc.health.v1`), and what it offers (`grpc.reflection.v1` and `v1alpha`).

use crate::bindings::Gate;
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

const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const OLD_REFLECTION: &str = "grpc.reflection.v1alpha.ServerReflection";

/// The services that are about the others.
pub const SERVICES: [&str; 3] = [health_server::SERVICE_NAME, REFLECTION, OLD_REFLECTION];

/// How often somebody who watches is told of a change.
const LOOK: Duration = Duration::from_secs(1);

/// Largest question in bytes: anybody may ask.
const QUESTION: usize = 16 << 10;

/// The services that are about the others.
pub fn routes(gate: &Gate) -> Router {
    let draining = gate.service.draining.clone();
    let health = HealthServer::new(Watched { readiness: gate.readiness.clone(), draining })
        .max_decoding_message_size(QUESTION)
        .accept_compressed(CompressionEncoding::Gzip);
    let mut router = Router::new().route_service(&place(health_server::SERVICE_NAME), health);
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
    };
    // What is compiled in can be read; were it not so, there would be no reflection and nothing else missing.
    if let Ok(service) = described().build_v1() {
        let service = service.max_decoding_message_size(QUESTION);
        let service = service.accept_compressed(CompressionEncoding::Gzip);
        router = router.route_service(&place(REFLECTION), service);
    }
    if let Ok(service) = described().build_v1alpha() {
        let service = service.max_decoding_message_size(QUESTION);
        let service = service.accept_compressed(CompressionEncoding::Gzip);
        router = router.route_service(&place(OLD_REFLECTION), service);
    }
    router
}

fn place(service: &str) -> String {
    format!("/{service}/{{*method}}")
}

/// Says how the node is.
#[derive(Clone)]
struct Watched {
    readiness: Readiness,
    draining: CancellationToken,
}

impl Watched {
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
impl Health for Watched {
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
            // A node that drains has said so, and says no more.
            while Some(now.status()) == last {
                if now.draining.is_cancelled() {
                    return None;
                }
                now.draining.run_until_cancelled(sleep(LOOK)).await;
            }
            let status = now.status();
            Some((Ok(HealthCheckResponse { status: status.into() }), (now, Some(status))))
        });
        Ok(Response::new(changes.boxed()))
    }
}
