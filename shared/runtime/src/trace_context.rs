//! W3C trace context of requests, tasks and wake-ups.
//!
//! Every value is valid by construction. A context travels with its task through the store and the
//! broker, so the trace continues after a crash in the process that resumes the task.

use serde::{Deserialize, Serialize};

use crate::ids::IdSource;

/// Maximum length of a `tracestate`, in bytes; the specification requires at least 512.
const MAX_TRACESTATE_BYTES: usize = 2048;

/// A position in a trace, as in the headers `traceparent` and `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Headers", into = "Headers")]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Headers {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
}

/// The error of a `traceparent` that violates the specification; the receiver starts a new trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid W3C traceparent")]
pub struct InvalidTraceparent;

impl TraceContext {
    /// Parses the two headers. A bad `traceparent` is an error; a bad or overlong `tracestate` is
    /// dropped, as the specification requires.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, InvalidTraceparent> {
        if !is_traceparent(traceparent) {
            return Err(InvalidTraceparent);
        }
        let tracestate =
            tracestate.map(str::trim).filter(|state| is_tracestate(state)).map(str::to_owned);
        // Continue a higher version as version 00, with its first four fields.
        let traceparent = format!("00-{}", &traceparent[3..55]);
        Ok(Self { traceparent, tracestate })
    }

    /// Starts a new, sampled trace.
    pub fn new_root(ids: &dyn IdSource) -> Self {
        // An all-zero trace id is invalid.
        let trace_id = ids.random_u128().max(1);
        Self::from_parts(&format!("{trace_id:032x}"), span_id(ids), "01", None)
    }

    /// Derives a new position in the same trace, with the same flags and state.
    #[must_use]
    pub fn child(&self, ids: &dyn IdSource) -> Self {
        Self::from_parts(self.trace_id(), span_id(ids), self.flags(), self.tracestate.clone())
    }

    fn from_parts(trace_id: &str, span_id: u64, flags: &str, tracestate: Option<String>) -> Self {
        Self { traceparent: format!("00-{trace_id}-{span_id:016x}-{flags}"), tracestate }
    }

    /// The value of the `traceparent` header.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The value of the `tracestate` header.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The trace id, 32 lower-case hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.traceparent[3..35]
    }

    /// The span id, 16 lower-case hexadecimal digits.
    pub fn span_id(&self) -> &str {
        &self.traceparent[36..52]
    }

    /// Tells whether the caller samples the trace.
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.flags(), 16).is_ok_and(|flags| flags & 1 == 1)
    }

    fn flags(&self) -> &str {
        &self.traceparent[53..55]
    }
}

impl TryFrom<Headers> for TraceContext {
    type Error = InvalidTraceparent;

    fn try_from(headers: Headers) -> Result<Self, Self::Error> {
        Self::parse(&headers.traceparent, headers.tracestate.as_deref())
    }
}

impl From<TraceContext> for Headers {
    fn from(context: TraceContext) -> Self {
        Self { traceparent: context.traceparent, tracestate: context.tracestate }
    }
}

fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut field =
        |length: usize| fields.next().filter(|field| field.len() == length && is_lower_hex(field));
    let (version, trace_id, span_id, flags) = (field(2), field(32), field(16), field(2));
    let not_zero =
        |field: Option<&str>| field.is_some_and(|digits| digits.bytes().any(|digit| digit != b'0'));
    let ends_well = match version {
        Some("00") => text.len() == 55,
        Some("ff") | None => false,
        // A later version may append fields after a further dash.
        Some(_) => text.len() == 55 || text.as_bytes().get(55) == Some(&b'-'),
    };
    ends_well && not_zero(trace_id) && not_zero(span_id) && flags.is_some()
}

fn is_lower_hex(field: &str) -> bool {
    field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_tracestate(state: &str) -> bool {
    !state.is_empty()
        && state.len() <= MAX_TRACESTATE_BYTES
        // The specification allows 32 members of printable characters.
        && state.split(',').count() <= 32
        && state.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        && state.split(',').all(|member| member.trim().is_empty() || member.contains('='))
}

/// Generates a random span id; zero is invalid.
fn span_id(ids: &dyn IdSource) -> u64 {
    u64::try_from(ids.random_u128() >> 64).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SeededIds;
    use proptest::prelude::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn valid_headers_are_read() {
        let context = TraceContext::parse(VALID, Some("vendor=1,other=2")).unwrap();
        assert_eq!(context.traceparent(), VALID);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id(), "b7ad6b7169203331");
        assert_eq!(context.tracestate(), Some("vendor=1,other=2"));
        assert!(context.is_sampled());
        assert!(!TraceContext::parse(&VALID.replace("-01", "-00"), None).unwrap().is_sampled());
    }

    #[test]
    fn a_later_version_is_continued_as_this_one() {
        let later = format!("cc{}-more", &VALID[2..]);
        assert_eq!(TraceContext::parse(&later, None).unwrap().traceparent(), VALID);
    }

    #[test]
    fn invalid_traceparents_are_rejected() {
        for bad in [
            "",
            "00",
            &VALID.to_uppercase(),
            &format!("ff{}", &VALID[2..]),
            &format!("{VALID}-more"),
            &format!("cc{}more", &VALID[2..]),
            &format!("{VALID} "),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        ] {
            assert_eq!(TraceContext::parse(bad, None), Err(InvalidTraceparent), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_tracestate_is_dropped_and_the_trace_kept() {
        let long = format!("a={}", "x".repeat(MAX_TRACESTATE_BYTES));
        for bad in ["", "nonsense", "a=\u{e9}", "a=1\nb=2", &long] {
            assert_eq!(
                TraceContext::parse(VALID, Some(bad)).unwrap().tracestate(),
                None,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_child_stays_in_the_trace_at_a_new_position() {
        let ids = SeededIds::new(1);
        let root = TraceContext::new_root(&ids);
        let child = root.child(&ids);
        assert_eq!(child.trace_id(), root.trace_id());
        assert_ne!(child.span_id(), root.span_id());
        assert_eq!(child.is_sampled(), root.is_sampled());
    }

    #[test]
    fn a_context_survives_storage() {
        let context = TraceContext::parse(VALID, Some("vendor=1")).unwrap();
        let stored = serde_json::to_string(&context).unwrap();
        assert_eq!(serde_json::from_str::<TraceContext>(&stored).unwrap(), context);
        assert!(serde_json::from_str::<TraceContext>(r#"{"traceparent":"00-x"}"#).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,80}", state in ".{0,80}") {
            if let Ok(context) = TraceContext::parse(&text, Some(&state)) {
                prop_assert_eq!(context.trace_id().len(), 32);
            }
        }

        #[test]
        fn a_generated_context_reads_back_the_same(seed: u64) {
            let root = TraceContext::new_root(&SeededIds::new(seed));
            prop_assert_eq!(TraceContext::parse(root.traceparent(), None), Ok(root.clone()));
        }
    }
}
