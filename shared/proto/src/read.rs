//! Readers for scalars and for values that both versions share. Protobuf leaves unset fields empty
//! or zero, so those values mean absent here. Violations have the same paths as in JSON.

use crate::pb::v1 as pb;
use chrono::{DateTime, Datelike};
use longhaul_domain::{ContextId, Message, MessageId, Role, TaskState, Timestamp, check_text};
use longhaul_wire::{
    ProtocolError, PushConfig, TaskRef, WireError,
    raw::{JsonPath, Parsed, Violations},
    v1::received_push_config,
};
use serde_json::value::to_raw_value;
use std::{collections::BTreeMap, ops::RangeInclusive};

/// Reads a request, or fails with all of its violations.
pub(crate) fn read_request<T>(
    read: impl FnOnce(&JsonPath<'_>) -> Parsed<T>,
) -> Result<T, ProtocolError> {
    let sink = Violations::default();
    let value = read(&JsonPath::root(&sink));
    match value {
        // A reader may record violations and still return a value.
        Ok(value) if sink.is_empty() => Ok(value),
        _ => Err(ProtocolError::InvalidParams(sink.into_list())),
    }
}

/// Reads a string without U+0000.
pub(crate) fn text(text: String, at: &JsonPath<'_>) -> Parsed<String> {
    match check_text(&text) {
        Ok(()) => Ok(text),
        Err(why) => at.refuse(why.to_string()),
    }
}

/// Reads an optional string.
pub(crate) fn optional_text(given: String, at: &JsonPath<'_>) -> Parsed<Option<String>> {
    Ok(Some(text(given, at)?).filter(|text| !text.is_empty()))
}

/// Reads a required string.
pub(crate) fn required_text(given: String, at: &JsonPath<'_>) -> Parsed<String> {
    if given.is_empty() { at.refuse("is required") } else { text(given, at) }
}

/// Reads every element, so that all violations are found.
pub(crate) fn list<A, B>(
    given: Vec<A>,
    at: &JsonPath<'_>,
    read: impl Fn(A, &JsonPath<'_>) -> Parsed<B>,
) -> Parsed<Vec<B>> {
    let mut list = Ok(Vec::with_capacity(given.len()));
    for (index, item) in given.into_iter().enumerate() {
        // Surplus elements are counted but not read.
        if at.skip_if_full() {
            continue;
        }
        match (read(item, &at.index(index)), &mut list) {
            (Ok(value), Ok(values)) => values.push(value),
            (Ok(_), Err(_)) => {}
            (Err(bad), list) => *list = Err(bad),
        }
    }
    list
}

/// Reads a required value.
pub(crate) fn required<A, B>(
    given: Option<A>,
    at: &JsonPath<'_>,
    read: impl FnOnce(A, &JsonPath<'_>) -> Parsed<B>,
) -> Parsed<B> {
    match given {
        Some(given) => read(given, at),
        None => at.refuse("is required"),
    }
}

/// Reads an optional value.
pub(crate) fn optional<A, B>(
    given: Option<A>,
    at: &JsonPath<'_>,
    read: impl FnOnce(A, &JsonPath<'_>) -> Parsed<B>,
) -> Parsed<Option<B>> {
    given.map(|given| read(given, at)).transpose()
}

pub(crate) fn message_id(given: String, at: &JsonPath<'_>) -> Parsed<MessageId> {
    MessageId::new(required_text(given, at)?).or_else(|why| at.refuse(why.to_string()))
}

pub(crate) fn context_id(given: String, at: &JsonPath<'_>) -> Parsed<Option<ContextId>> {
    if given.is_empty() {
        return Ok(None);
    }
    ContextId::new(given).map(Some).or_else(|why| at.refuse(why.to_string()))
}

/// Reads a required task id, which may be malformed.
pub(crate) fn task_ref(given: String, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    required_text(given, at).map(TaskRef::parse)
}

pub(crate) fn count(number: i32, at: &JsonPath<'_>, range: &RangeInclusive<u32>) -> Parsed<u32> {
    match u32::try_from(number) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => at.refuse(format!("must be an integer from {} to {}", range.start(), range.end())),
    }
}

/// Reads a message count.
pub(crate) fn history_length(number: i32, at: &JsonPath<'_>) -> Parsed<u32> {
    count(number, at, &(0..=i32::MAX.unsigned_abs()))
}

pub(crate) fn time(given: prost_types::Timestamp, at: &JsonPath<'_>) -> Parsed<Timestamp> {
    // Negative and oversized nanoseconds are refused, not normalized.
    let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let time = nanos.and_then(|nanos| DateTime::from_timestamp(given.seconds, nanos));
    match time.filter(|time| (1..=9999).contains(&time.year())) {
        Some(time) => Ok(time),
        None => at.refuse("must be in the years 0001 to 9999 of UTC"),
    }
}

pub(crate) fn role(number: i32, at: &JsonPath<'_>) -> Parsed<Role> {
    match pb::Role::try_from(number) {
        Ok(pb::Role::User) => Ok(Role::User),
        Ok(pb::Role::Agent) => Ok(Role::Agent),
        Ok(pb::Role::Unspecified) => at.refuse("must be ROLE_USER or ROLE_AGENT, not unspecified"),
        Err(_) => at.refuse("must be one of ROLE_USER, ROLE_AGENT"),
    }
}

/// Reads a state; `None` if unspecified.
pub(crate) fn state(number: i32, at: &JsonPath<'_>) -> Parsed<Option<TaskState>> {
    Ok(Some(match pb::TaskState::try_from(number) {
        Ok(pb::TaskState::Unspecified) => return Ok(None),
        Ok(pb::TaskState::Submitted) => TaskState::Submitted,
        Ok(pb::TaskState::Working) => TaskState::Working,
        Ok(pb::TaskState::Completed) => TaskState::Completed,
        Ok(pb::TaskState::Failed) => TaskState::Failed,
        Ok(pb::TaskState::Canceled) => TaskState::Canceled,
        Ok(pb::TaskState::InputRequired) => TaskState::InputRequired,
        Ok(pb::TaskState::Rejected) => TaskState::Rejected,
        Ok(pb::TaskState::AuthRequired) => TaskState::AuthRequired,
        Err(_) => return at.refuse("must be a value of TaskState, from 0 to 8"),
    }))
}

/// Reads an absolute `http` or `https` URL, by the rule of the JSON dialects.
pub(crate) fn http_url(url: String, at: &JsonPath<'_>) -> Parsed<String> {
    // Unset in protobuf; the JSON reader would call it malformed.
    if url.is_empty() {
        return at.refuse("is required");
    }
    // The JSON reader holds the only copy of the rule.
    let config =
        to_raw_value(&BTreeMap::from([("url", &url)])).map(|raw| received_push_config(&raw));
    match config {
        Ok(Ok(_)) => Ok(url),
        Ok(Err(WireError::Invalid(violations))) => at.refuse(
            violations.into_iter().next().map_or_else(String::new, |first| first.description),
        ),
        Ok(Err(why)) => at.refuse(why.to_string()),
        Err(why) => at.refuse(why.to_string()),
    }
}

/// Parsed message. The task id stands apart, since it may be malformed.
pub(crate) struct ParsedMessage {
    pub message: Message,
    pub task: Option<TaskRef>,
}

/// Options of a send; the defaults wait for the task, as clients of 0.3 expect.
#[derive(Default)]
pub(crate) struct SendConfiguration {
    pub accepted_output_modes: Vec<String>,
    pub push_config: Option<PushConfig>,
    pub history_length: Option<u32>,
    pub return_immediately: bool,
}
