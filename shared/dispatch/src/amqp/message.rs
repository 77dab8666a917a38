//! The wire format of wake-ups.
//!
//! A body has 25 bytes: version (1), owner (4, big-endian), task (16) and the number of coalesced
//! hints (4, big-endian). The queue implies the agent; headers carry the trace. Receivers ignore
//! bytes after these, so that newer senders may append some. Older senders omit the number, which
//! means one. Messages of unknown version are discarded, which costs a hint.
//!
//! Messages are transient: quorum queues write them to disk anyway, and losing one costs one poll
//! interval.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use longhaul_domain::{AgentName, OwnerId, TaskId, TaskKey};
use longhaul_runtime::TraceContext;
use uuid::Uuid;

use crate::WakeHint;

const MESSAGE_VERSION: u8 = 1;
/// Length of a body.
const MESSAGE_BYTES: usize = 25;
/// Minimum length of a body, from an older sender.
const MIN_MESSAGE_BYTES: usize = 21;
/// Delivery mode of transient messages in AMQP.
const DELIVERY_MODE_TRANSIENT: u8 = 1;
const TRACEPARENT_HEADER: &str = "traceparent";
const TRACESTATE_HEADER: &str = "tracestate";
const ATTEMPT_HEADER: &str = "longhaul-attempt";

/// Encodes the body of a message for `hint_count` coalesced hints.
pub(super) fn encode(wake: &WakeHint, hint_count: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(MESSAGE_BYTES);
    body.push(MESSAGE_VERSION);
    body.extend_from_slice(&wake.task.owner.0.to_be_bytes());
    body.extend_from_slice(wake.task.task.uuid().as_bytes());
    body.extend_from_slice(&hint_count.to_be_bytes());
    body
}

/// The properties of a message. `attempt` counts the sender's earlier attempts, for its own use.
pub(super) fn properties(wake: &WakeHint, attempt: u8) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(ATTEMPT_HEADER.into(), AMQPValue::ShortShortUInt(attempt));
    if let Some(trace) = &wake.trace {
        headers.insert(TRACEPARENT_HEADER.into(), text(trace.traceparent()));
        if let Some(state) = trace.tracestate() {
            headers.insert(TRACESTATE_HEADER.into(), text(state));
        }
    }
    BasicProperties::default().with_delivery_mode(DELIVERY_MODE_TRANSIENT).with_headers(headers)
}

/// Decodes a message from the queue of `agent` into the hint and the number of hints; `None` if
/// this version cannot read it.
pub(super) fn decode(
    agent: AgentName,
    body: &[u8],
    properties: &BasicProperties,
) -> Option<(WakeHint, u32)> {
    let hint_count = body.get(MIN_MESSAGE_BYTES..).and_then(<[u8]>::first_chunk);
    let hint_count = hint_count.map_or(1, |bytes| u32::from_be_bytes(*bytes)).max(1);
    let body: &[u8; MIN_MESSAGE_BYTES] = body.first_chunk()?;
    if body[0] != MESSAGE_VERSION {
        return None;
    }
    let owner = OwnerId(i32::from_be_bytes(*body[1..].first_chunk()?));
    let task = TaskId::new(Uuid::from_bytes(*body[5..].first_chunk()?));
    let task = TaskKey { owner, task };
    Some((WakeHint { agent, task, trace: trace(properties) }, hint_count))
}

/// The sender's number of earlier attempts. Messages without it count as out of attempts.
pub(super) fn attempt(properties: &BasicProperties) -> u8 {
    match header(properties, ATTEMPT_HEADER) {
        Some(AMQPValue::ShortShortUInt(attempt)) => *attempt,
        _ => u8::MAX,
    }
}

fn trace(properties: &BasicProperties) -> Option<TraceContext> {
    let field = |name| match header(properties, name) {
        Some(AMQPValue::LongString(text)) => str::from_utf8(text.as_bytes()).ok(),
        _ => None,
    };
    TraceContext::parse(field(TRACEPARENT_HEADER)?, field(TRACESTATE_HEADER)).ok()
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
    use crate::testing::{agent, wake};

    #[test]
    fn a_message_survives_encoding() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::parse(parent, Some("vendor=1")).ok();
        for wake in [wake("a", u128::MAX / 3), WakeHint { trace, ..wake("a", 5) }] {
            let headers = properties(&wake, 1);
            assert_eq!(attempt(&headers), 1);
            assert_eq!(decode(agent("a"), &encode(&wake, 300), &headers), Some((wake, 300)));
        }
    }

    #[test]
    fn appended_bytes_are_ignored_and_other_messages_rejected() {
        let mut body = encode(&wake("a", 1), 7);
        let read = |body: &[u8]| decode(agent("a"), body, &BasicProperties::default());
        body.extend_from_slice(b"more");
        assert_eq!(read(&body), Some((wake("a", 1), 7)));
        assert_eq!(read(&body[..MIN_MESSAGE_BYTES]), Some((wake("a", 1), 1)), "of an older sender");
        assert_eq!(read(&body[..MIN_MESSAGE_BYTES - 1]), None);
        assert_eq!(read(b""), None);
        body[0] = MESSAGE_VERSION + 1;
        assert_eq!(read(&body), None);
    }

    #[test]
    fn a_message_of_another_sender_is_out_of_attempts() {
        assert_eq!(attempt(&BasicProperties::default()), u8::MAX);
    }
}
