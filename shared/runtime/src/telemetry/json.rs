//! JSON log lines: `timestamp`, `level`, `target`, `message`, the name of the innermost `span`, and
//! the fields of the event and its spans at top level (inner ones win), where log searches find
//! `request_id`, `task_id` and `trace_id`.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::{LookupSpan, Scope},
};

use crate::clock::{Clock, SystemClock};

/// The formatter of log events as one JSON object per line.
pub(super) struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = EventFields::default();
        // From the root inwards, so that fields of inner spans overwrite outer ones.
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            line.0.insert("span".to_owned(), span.name().into());
            let extensions = span.extensions();
            let fields = extensions
                .get::<FormattedFields<JsonFields>>()
                .map(|formatted| formatted.fields.as_str());
            if let Some(Ok(fields)) = fields.map(serde_json::from_str::<Map<String, Value>>) {
                line.0.extend(fields);
            }
        }
        // The event's own fields come last and win over all spans.
        event.record(&mut line);
        let EventFields(mut line) = line;
        // Events of the `log` crate carry their target as a field.
        let target = line.remove("log.target").unwrap_or_else(|| event.metadata().target().into());
        line.retain(|name, _| !name.starts_with("log."));
        // Reserved names last: a field called `level` must not replace the level.
        line.insert(
            "timestamp".to_owned(),
            SystemClock.now().to_rfc3339_opts(SecondsFormat::Micros, true).into(),
        );
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), target);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields of an event, collected by visiting it.
#[derive(Default)]
struct EventFields(Map<String, Value>);

impl EventFields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
}
