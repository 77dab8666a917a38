//! A wake-up as a message.
//!
//! 25 bytes: version 1, owner (big-endian, 4 bytes), task (16 bytes), and for how many hints it stands (big-endian, 4 bytes).
//! The queue names the agent, headers carry the trace. Longer bodies are read by their beginning, so a newer sender may
//! append; one without the last number, of an older sender, stands for itself. An unknown version is discarded by the
//! receiver, which costs a hint.
//!
//! Messages are transient: a quorum queue writes them to disk either way, and losing one costs one probe interval.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use longhaul_domain::{AgentName, OwnerId, TaskId, TaskKey};
use longhaul_runtime::TraceContext;
use uuid::Uuid;

use crate::WakeHint;

const VERSION: u8 = 1;
const LENGTH: usize = 25;
/// Up to where a body must go.
const LEAST: usize = 21;
const TRANSIENT: u8 = 1;
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
const ATTEMPT: &str = "longhaul-attempt";

/// The body of a message that stands for so many hints.
pub(super) fn encode(wake: &WakeHint, hint_count: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(LENGTH);
    body.push(VERSION);
    body.extend_from_slice(&wake.task.owner.0.to_be_bytes());
    body.extend_from_slice(wake.task.task.uuid().as_bytes());
    body.extend_from_slice(&hint_count.to_be_bytes());
    body
}

/// The headers. `attempt` counts the sender's tries and matters to nobody else.
pub(super) fn properties(wake: &WakeHint, attempt: u8) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(ATTEMPT.into(), AMQPValue::ShortShortUInt(attempt));
    if let Some(trace) = &wake.trace {
        headers.insert(PARENT.into(), text(trace.traceparent()));
        if let Some(state) = trace.tracestate() {
            headers.insert(STATE.into(), text(state));
        }
    }
    BasicProperties::default().with_delivery_mode(TRANSIENT).with_headers(headers)
}

/// What a message from the queue of `agent` says, and for how many hints it stands; `None` when this version cannot read it.
pub(super) fn decode(
    agent: AgentName,
    body: &[u8],
    properties: &BasicProperties,
) -> Option<(WakeHint, u32)> {
    let hint_count = body.get(LEAST..).and_then(<[u8]>::first_chunk);
    let hint_count = hint_count.map_or(1, |bytes| u32::from_be_bytes(*bytes)).max(1);
    let body: &[u8; LEAST] = body.first_chunk()?;
    if body[0] != VERSION {
        return None;
    }
    let owner = OwnerId(i32::from_be_bytes(*body[1..].first_chunk()?));
    let task = TaskId::new(Uuid::from_bytes(*body[5..].first_chunk()?));
    let task = TaskKey { owner, task };
    Some((WakeHint { agent, task, trace: trace(properties) }, hint_count))
}

/// Which try of the sender a message was.
pub(super) fn attempt(properties: &BasicProperties) -> u8 {
    match header(properties, ATTEMPT) {
        Some(AMQPValue::ShortShortUInt(attempt)) => *attempt,
        _ => u8::MAX,
    }
}

fn trace(properties: &BasicProperties) -> Option<TraceContext> {
    let field = |name| match header(properties, name) {
        Some(AMQPValue::LongString(text)) => str::from_utf8(text.as_bytes()).ok(),
        _ => None,
    };
    TraceContext::parse(field(PARENT)?, field(STATE)).ok()
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(&ShortString::from(name))
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::support::{agent, wake};

    #[test]
    fn what_is_sent_is_what_is_read() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::parse(parent, Some("vendor=1")).ok();
        for wake in [wake("a", u128::MAX / 3), WakeHint { trace, ..wake("a", 5) }] {
            let headers = properties(&wake, 1);
            assert_eq!(attempt(&headers), 1);
            assert_eq!(decode(agent("a"), &encode(&wake, 300), &headers), Some((wake, 300)));
        }
    }

    #[test]
    fn what_a_newer_sender_appends_is_ignored_and_what_is_no_wake_up_refused() {
        let mut body = encode(&wake("a", 1), 7);
        let read = |body: &[u8]| decode(agent("a"), body, &BasicProperties::default());
        body.extend_from_slice(b"more");
        assert_eq!(read(&body), Some((wake("a", 1), 7)));
        assert_eq!(read(&body[..LEAST]), Some((wake("a", 1), 1)), "of an older sender");
        assert_eq!(read(&body[..LEAST - 1]), None);
        assert_eq!(read(b""), None);
        body[0] = VERSION + 1;
        assert_eq!(read(&body), None);
    }

    #[test]
    fn a_message_of_strangers_counts_as_tried_out() {
        assert_eq!(attempt(&BasicProperties::default()), u8::MAX);
    }
}
