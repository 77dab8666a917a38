//! Export of spans to an OpenTelemetry collector, by OTLP over plain HTTP.
//!
//! The exporting thread has its own small runtime, so that export continues while the process's
//! runtime shuts down. Spans not sent when the process is killed are lost.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_http::{HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::{Builder, Runtime};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;
use crate::trace_context::TraceContext;

/// Maximum time of one request to the collector.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time of the final flush.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// A running export; flushes when dropped.
#[derive(Debug)]
pub(super) struct SpanExport(SdkTracerProvider);

impl SpanExport {
    /// Starts an export if the environment configures a collector.
    pub(super) fn from_environment(service: &str) -> Result<Option<Self>, TelemetryError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
        match endpoint {
            // The exporter reads the endpoint itself; here it decides only whether to export.
            Some(endpoint) if !disabled => {
                let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned());
                refuse_tls(&endpoint)?;
                Self::start(None, service).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Starts an export to `endpoint`, or to the endpoint in the environment.
    fn start(endpoint: Option<&str>, service: String) -> Result<Self, TelemetryError> {
        let client = BlockingHttpClient::new()?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(client);
        if let Some(endpoint) = endpoint {
            exporter = exporter.with_endpoint(endpoint);
        }
        let exporter =
            exporter.build().map_err(|error| TelemetryError::Export(error.to_string()))?;
        let resource = Resource::builder().with_service_name(service).build();
        Ok(Self(
            SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource)
                .build(),
        ))
    }

    /// The `tracing` layer that exports spans.
    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("longhaul"))
    }
}

impl Drop for SpanExport {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!(%error, "final span export failed");
        }
    }
}

fn refuse_tls(endpoint: &str) -> Result<(), TelemetryError> {
    if endpoint.starts_with("http://") {
        return Ok(());
    }
    Err(TelemetryError::Export(
        "the collector's endpoint must begin with http://; for one behind TLS run a local collector that forwards".to_owned(),
    ))
}

pub(super) fn continue_trace(span: &Span, from: &TraceContext) {
    let ids = TraceId::from_hex(from.trace_id()).ok().zip(SpanId::from_hex(from.span_id()).ok());
    let Some((trace_id, span_id)) = ids else { return };
    let flags = if from.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let state =
        from.tracestate().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let remote = SpanContext::new(trace_id, span_id, flags, true, state);
    // Fails only if no layer exports spans or this span is filtered out: there is nothing to link
    // then.
    let _ = span.set_parent(Context::new().with_remote_span_context(remote));
}

pub(super) fn trace_of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let position = context.span().span_context().clone();
    // No exporting layer, or a span that is filtered out.
    if !position.is_valid() {
        return None;
    }
    let flags = position.trace_flags().to_u8();
    let traceparent = format!("00-{}-{}-{flags:02x}", position.trace_id(), position.span_id());
    let state = position.trace_state().header();
    TraceContext::parse(&traceparent, Some(state.as_str())).ok()
}

/// An HTTP client with its own runtime, because the exporting thread has none.
#[derive(Debug)]
struct BlockingHttpClient {
    client: HyperClient,
    // Taken by `drop` only.
    runtime: Option<Runtime>,
}

impl BlockingHttpClient {
    fn new() -> Result<Self, TelemetryError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| TelemetryError::Export(error.to_string()))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self { client: HyperClient::new(connector, SEND_TIMEOUT, None), runtime: Some(runtime) })
    }
}

#[async_trait]
impl HttpClient for BlockingHttpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.client.send_bytes(request)),
            None => Err("the export has ended".into()),
        }
    }
}

impl Drop for BlockingHttpClient {
    fn drop(&mut self) {
        // Dropping a runtime on a thread of another runtime would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SeededIds;
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        thread,
    };
    use tracing_subscriber::layer::SubscriberExt;

    /// Starts a collector that accepts one request and returns its first line and body.
    fn collector() -> (String, thread::JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let received = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).unwrap();
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).unwrap();
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if header == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            (first, body)
        });
        (endpoint, received)
    }

    fn contains(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|window| window == part)
    }

    #[tokio::test]
    async fn dropping_the_export_flushes_the_remaining_spans() {
        let (endpoint, received) = collector();
        let export = SpanExport::start(Some(&endpoint), "test-service".to_owned()).unwrap();
        let remote = TraceContext::new_root(&SeededIds::new(1));
        let here = tracing::subscriber::with_default(
            tracing_subscriber::registry().with(export.layer()),
            || {
                let span = tracing::info_span!("settle-a-task");
                continue_trace(&span, &remote);
                trace_of(&span).unwrap()
            },
        );
        drop(export);
        let (first, body) = received.join().unwrap();
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        assert!(contains(&body, b"settle-a-task") && contains(&body, b"test-service"));
        assert_eq!(here.trace_id(), remote.trace_id());
        assert_ne!(here.span_id(), remote.span_id());
    }

    #[test]
    fn without_export_a_span_has_no_trace_context() {
        let span = tracing::info_span!("alone");
        continue_trace(&span, &TraceContext::new_root(&SeededIds::new(1)));
        assert_eq!(trace_of(&span), None);
    }

    #[test]
    fn an_endpoint_behind_tls_is_rejected_with_advice() {
        let refused = refuse_tls("https://collector:4318").unwrap_err().to_string();
        assert!(refused.contains("http://") && refused.contains("local collector"), "{refused}");
    }
}
