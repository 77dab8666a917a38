//! Scalars as clients send them. In protobuf a field that is not set is empty, or zero, so that is absence here; what is
//! wrong is recorded with the path that it has in JSON.

use chrono::{DateTime, Datelike};
use longhaul_domain::{ContextId, MessageId, Role, TaskState, Timestamp, check_text};
use longhaul_wire::{
    ProtocolError, TaskRef,
    raw::{JsonPath, Parsed, Violations},
};
use std::ops::RangeInclusive;

use crate::pb::v1 as pb;

/// Reads a request, or says everything that is wrong with it.
pub(crate) fn asked<T>(read: impl FnOnce(&JsonPath<'_>) -> Parsed<T>) -> Result<T, ProtocolError> {
    let sink = Violations::default();
    let value = read(&JsonPath::root(&sink));
    match value {
        Ok(value) if sink.is_empty() => Ok(value),
        _ => Err(ProtocolError::InvalidParams(sink.into_list())),
    }
}

/// Text without U+0000.
pub(crate) fn text(text: String, at: &JsonPath<'_>) -> Parsed<String> {
    match check_text(&text) {
        Ok(()) => Ok(text),
        Err(why) => at.refuse(why.to_string()),
    }
}

/// Text that may be absent.
pub(crate) fn some_text(given: String, at: &JsonPath<'_>) -> Parsed<Option<String>> {
    Ok(Some(text(given, at)?).filter(|text| !text.is_empty()))
}

/// Text that must be there.
pub(crate) fn filled(given: String, at: &JsonPath<'_>) -> Parsed<String> {
    if given.is_empty() { at.refuse("is required") } else { text(given, at) }
}

/// Every element, so that all violations are found.
pub(crate) fn each<A, B>(
    given: Vec<A>,
    at: &JsonPath<'_>,
    read: impl Fn(A, &JsonPath<'_>) -> Parsed<B>,
) -> Parsed<Vec<B>> {
    let mut list = Ok(Vec::with_capacity(given.len()));
    for (index, item) in given.into_iter().enumerate() {
        if at.leaves_out() {
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

/// Something that must be there.
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

/// Something that may be absent.
pub(crate) fn optional<A, B>(
    given: Option<A>,
    at: &JsonPath<'_>,
    read: impl FnOnce(A, &JsonPath<'_>) -> Parsed<B>,
) -> Parsed<Option<B>> {
    given.map(|given| read(given, at)).transpose()
}

pub(crate) fn message_id(given: String, at: &JsonPath<'_>) -> Parsed<MessageId> {
    MessageId::new(filled(given, at)?).or_else(|why| at.refuse(why.to_string()))
}

pub(crate) fn context_id(given: String, at: &JsonPath<'_>) -> Parsed<Option<ContextId>> {
    if given.is_empty() {
        return Ok(None);
    }
    ContextId::new(given).map(Some).or_else(|why| at.refuse(why.to_string()))
}

/// A task that must be named; the name may be malformed.
pub(crate) fn task_ref(given: String, at: &JsonPath<'_>) -> Parsed<TaskRef> {
    filled(given, at).map(TaskRef::parse)
}

pub(crate) fn count(number: i32, at: &JsonPath<'_>, range: &RangeInclusive<u32>) -> Parsed<u32> {
    match u32::try_from(number) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => at.refuse(format!("must be an integer from {} to {}", range.start(), range.end())),
    }
}

/// How many messages to show.
pub(crate) fn history_length(number: i32, at: &JsonPath<'_>) -> Parsed<u32> {
    count(number, at, &(0..=i32::MAX.unsigned_abs()))
}

pub(crate) fn time(given: prost_types::Timestamp, at: &JsonPath<'_>) -> Parsed<Timestamp> {
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

/// `None` for the unspecified state.
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
