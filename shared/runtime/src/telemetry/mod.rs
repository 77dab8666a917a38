//! Logs on standard error and, if a collector is configured, spans to it.
//!
//! Log lines are written synchronously. A dedicated thread sends spans in batches; dropping
//! [`TelemetryGuard`] flushes the rest. A killed process loses the spans of its last seconds. An
//! unreachable collector costs spans and never slows work down.

mod json;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(test)]
pub(crate) mod testing;

use std::io::IsTerminal;

use tracing::{Span, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    settings::{LogFormat, LogSettings},
    trace_context::TraceContext,
};

/// The error of logging or span export that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.filter` cannot be parsed.
    #[error("log.filter: {0}; allowed: a level or directives such as \"info,longhaul=debug\"")]
    Filter(String),
    /// Logging is set up already.
    #[error("logging is already set up")]
    AlreadySetUp,
    /// The configured collector cannot be used.
    #[error("export of traces: {0}")]
    Export(String),
}

/// Flushes the remaining spans when dropped, for at most five seconds. Keep it until the end of
/// `main`.
#[must_use = "dropping the guard ends the export of spans"]
#[derive(Debug, Default)]
pub struct TelemetryGuard {
    #[cfg(feature = "otlp")]
    #[expect(dead_code, reason = "held for its drop")]
    export: Option<otlp::SpanExport>,
}

/// Sets up logging for the process, once, and the export of spans as `service` if
/// `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set. Other standard
/// variables (headers, service name, resource attributes, sampler, `OTEL_SDK_DISABLED`) apply. The
/// protocol is always OTLP over HTTP with protobuf, without TLS; reach a remote collector through a
/// local one.
pub fn init(settings: &LogSettings, service: &str) -> Result<TelemetryGuard, TelemetryError> {
    let registry = tracing_subscriber::registry()
        .with(
            parse_filter(&settings.filter)
                .map_err(|error| TelemetryError::Filter(error.to_string()))?,
        )
        .with(lines(settings.format, std::io::stderr().is_terminal(), std::io::stderr));
    start(registry, service)
}

#[cfg(feature = "otlp")]
fn start<S>(registry: S, service: &str) -> Result<TelemetryGuard, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let export = otlp::SpanExport::from_environment(service)?;
    // `None` is a layer that does nothing.
    let spans = export.as_ref().map(otlp::SpanExport::layer);
    registry.with(spans).try_init().map_err(|_| TelemetryError::AlreadySetUp)?;
    Ok(TelemetryGuard { export })
}

#[cfg(not(feature = "otlp"))]
fn start<S>(registry: S, _service: &str) -> Result<TelemetryGuard, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    registry.try_init().map_err(|_| TelemetryError::AlreadySetUp)?;
    Ok(TelemetryGuard::default())
}

/// Modules whose logs are off by default, because our own crates log the same: lost broker
/// connections (`longhaul_dispatch`) and refused database connections (`longhaul_store_postgres`).
const SILENCED_MODULES: [&str; 2] = ["lapin", "sqlx_core::pool"];

/// Parses `log.filter` strictly: one bad directive rejects the filter.
pub(crate) fn parse_filter(
    filter: &str,
) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    // Do not override a module that the operator's filter names.
    let mut directives = filter.to_owned();
    for module in SILENCED_MODULES.iter().filter(|module| !filter.contains(**module)) {
        directives = format!("{directives},{module}=off");
    }
    EnvFilter::builder().parse(directives)
}

fn lines<S, W>(format: LogFormat, terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        // People read terminals, programs read everything else.
        LogFormat::Auto => !terminal,
    };
    if json {
        fmt::layer()
            .fmt_fields(fmt::format::JsonFields::new())
            .event_format(json::JsonLines)
            .with_writer(writer)
            .boxed()
    } else {
        fmt::layer().with_ansi(terminal).with_writer(writer).boxed()
    }
}

/// Makes `span` part of the trace of `from`. Does nothing if spans are not exported.
pub fn continue_trace(span: &Span, from: &TraceContext) {
    #[cfg(feature = "otlp")]
    otlp::continue_trace(span, from);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, from);
}

/// The trace context of `span`, to pass on with a task or request. `None` if spans are not
/// exported.
pub fn trace_of(span: &Span) -> Option<TraceContext> {
    #[cfg(feature = "otlp")]
    return otlp::trace_of(span);
    #[cfg(not(feature = "otlp"))]
    {
        let _ = span;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::MemoryWriter, *};

    fn logged(format: LogFormat, terminal: bool) -> String {
        let captured = MemoryWriter::default();
        let registry =
            tracing_subscriber::registry().with(lines(format, terminal, captured.clone()));
        tracing::subscriber::with_default(registry, || {
            let request = tracing::info_span!(
                "request",
                request_id = "r-1",
                trace_id = tracing::field::Empty
            );
            request.record("trace_id", "abc");
            let _request = request.entered();
            let _task = tracing::info_span!("task", task_id = 7).entered();
            tracing::warn!(level = "fake", attempt = 2, "retrying");
        });
        captured.text()
    }

    #[test]
    fn a_json_line_carries_the_ids_of_its_spans() {
        let text = logged(LogFormat::Json, true);
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str().unwrap()).is_ok());
        for (key, value) in [
            ("level", serde_json::json!("WARN")),
            ("target", serde_json::json!(module_path!())),
            ("message", serde_json::json!("retrying")),
            ("span", serde_json::json!("task")),
            ("attempt", serde_json::json!(2)),
            ("request_id", serde_json::json!("r-1")),
            ("trace_id", serde_json::json!("abc")),
            ("task_id", serde_json::json!(7)),
        ] {
            assert_eq!(line[key], value, "{key}");
        }
    }

    #[test]
    fn automatic_format_is_pretty_on_a_terminal_only() {
        assert!(!logged(LogFormat::Auto, true).starts_with('{'));
        assert!(logged(LogFormat::Auto, false).starts_with('{'));
    }

    #[test]
    fn a_bad_filter_is_rejected() {
        assert!(parse_filter("info,longhaul=debug").is_ok());
        assert!(parse_filter("longhaul=loudly").is_err());
    }
}
