//! JSON writing: straight into bytes, from borrowed values, without an intermediate tree. Times are
//! RFC 3339 in UTC with exactly three fractional digits, truncated.

use crate::raw::Violation;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{Datelike, SecondsFormat, Timelike};
use longhaul_domain::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Failed conversion, on this side or because of the server that answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Value with a content that is still stored apart.
    #[error("cannot be written: {0}")]
    Unresolved(String),
    /// Response that is not JSON-RPC.
    #[error("the server's answer is not JSON-RPC: {0}")]
    NotJsonRpc(String),
    /// Response that violates the protocol.
    #[error("the server's answer is not valid: {}", list(.0))]
    Invalid(Vec<Violation>),
}

fn list(violations: &[Violation]) -> String {
    let lines: Vec<String> =
        violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
    lines.join("; ")
}

/// Initial buffer size, in bytes; most responses fit.
const RESPONSE_CAPACITY_BYTES: usize = 1 << 10;

/// Writes a value as one line of JSON. Fails only on contents that are stored apart.
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, WireError> {
    // Values of this crate have string keys and finite numbers, so only our own error can occur.
    let mut bytes = Vec::with_capacity(RESPONSE_CAPACITY_BYTES);
    serde_json::to_writer(&mut bytes, value)
        .map_err(|error| WireError::Unresolved(error.to_string()))?;
    Ok(bytes)
}

/// Writes object members in the given order and omits unset ones.
pub(crate) struct ObjectWriter<S: Serializer>(S::SerializeMap);

impl<S: Serializer> ObjectWriter<S> {
    pub fn open(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Self)
    }
    /// Writes a member.
    pub fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), S::Error> {
        self.0.serialize_entry(name, value)
    }
    /// Writes a member if there is a value.
    pub fn put_some<T: Serialize>(&mut self, name: &str, value: Option<T>) -> Result<(), S::Error> {
        value.map_or(Ok(()), |value| self.put(name, &value))
    }
    /// Writes a member if the list is not empty.
    pub fn put_list<T: Serialize>(&mut self, name: &str, list: &[T]) -> Result<(), S::Error> {
        if list.is_empty() { Ok(()) } else { self.put(name, list) }
    }
    /// Writes a member if the flag is true.
    pub fn put_flag(&mut self, name: &str, value: bool) -> Result<(), S::Error> {
        if value { self.put(name, &true) } else { Ok(()) }
    }
    pub fn close(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// Value written through its `Display`.
pub(crate) struct DisplayString<T>(pub T);

impl<T: std::fmt::Display> Serialize for DisplayString<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes in padded standard base64.
pub(crate) struct Base64<'a>(pub &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

/// UTC time with exactly three fractional digits.
pub(crate) struct Rfc3339Millis(pub Timestamp);

impl Serialize for Rfc3339Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        // Fast path; chrono formats the rare times that do not fit.
        if fill(&mut text, self.0)
            && let Ok(text) = std::str::from_utf8(&text)
        {
            return serializer.serialize_str(text);
        }
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// Writes a time as [`Rfc3339Millis`], for fields of derived types.
pub(crate) fn serialize_millis<S: Serializer>(
    at: &Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Rfc3339Millis(*at).serialize(serializer)
}

/// Writes an optional time as [`Rfc3339Millis`], for fields of derived types.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn serialize_optional_millis<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(Rfc3339Millis).serialize(serializer)
}

/// Fills in the digits. Returns `false` for times that do not fit: years without four digits, and
/// leap seconds.
fn fill(text: &mut [u8; 24], at: Timestamp) -> bool {
    let time = at.time();
    let Ok(year @ 0..=9999) = u32::try_from(at.year()) else { return false };
    let nanos = time.nanosecond();
    if nanos >= 1_000_000_000 {
        return false;
    }
    for (range, number) in [
        (0..4, year),
        (5..7, at.month()),
        (8..10, at.day()),
        (11..13, time.hour()),
        (14..16, time.minute()),
        (17..19, time.second()),
        (20..23, nanos / 1_000_000),
    ] {
        digits(&mut text[range], number);
    }
    true
}

/// Writes a number with leading zeros; digits that do not fit are dropped.
fn digits(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        // The remainder is below ten, so the index is in bounds.
        *place = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn written(at: Timestamp) -> String {
        serde_json::to_string(&Rfc3339Millis(at)).unwrap()
    }

    fn expected(at: Timestamp) -> String {
        format!("\"{}\"", at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    #[test]
    fn extreme_times_and_leap_seconds_are_written() {
        let leap: Timestamp = "2016-12-31T23:59:60.5Z".parse().unwrap();
        let before: Timestamp = "-0001-01-01T00:00:00Z".parse().unwrap();
        for at in [leap, before, Timestamp::MIN_UTC, Timestamp::MAX_UTC, Timestamp::UNIX_EPOCH] {
            assert_eq!(written(at), expected(at));
        }
        assert_eq!(written(leap), "\"2016-12-31T23:59:60.500Z\"");
    }

    proptest! {
        #[test]
        fn a_time_is_rfc_3339_to_the_millisecond(
            seconds in -70_000_000_000i64..300_000_000_000, nanos in 0u32..1_000_000_000,
        ) {
            let at = DateTime::from_timestamp(seconds, nanos).unwrap();
            prop_assert_eq!(written(at), expected(at));
        }
    }
}
