//! Scalars as clients write them: more spellings are understood than are ever written.

use super::{JsonPath, Parsed, RawJson};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Datelike, Utc};
use longhaul_domain::{Json, JsonObject, Timestamp, check_text};
use std::{borrow::Cow, ops::RangeInclusive};

/// Padded or not; what an encoder left in unused bits does not matter.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn borrowed<'a>(raw: RawJson<'a>, at: &JsonPath<'_>) -> Parsed<Cow<'a, str>> {
    match raw.string() {
        Some(text) => Ok(text),
        None if raw.get().starts_with('"') => {
            at.refuse("contains a lone surrogate escape; strings must be valid Unicode")
        }
        None => at.refuse("must be a string"),
    }
}

/// A string without U+0000.
pub fn text(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<String> {
    let text = borrowed(raw, at)?;
    match check_text(&text) {
        Ok(()) => Ok(text.into_owned()),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// A string that says something.
pub fn filled_text(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<String> {
    let text = text(raw, at)?;
    if text.is_empty() { at.refuse("must not be empty") } else { Ok(text) }
}

/// `true` or `false`, also as a string.
pub fn boolean(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<bool> {
    match raw.get() {
        "true" | "\"true\"" => Ok(true),
        "false" | "\"false\"" => Ok(false),
        _ => at.refuse("must be true or false"),
    }
}

/// An integer as a number, an integral float or a string.
pub fn integer(raw: RawJson<'_>, at: &JsonPath<'_>, range: RangeInclusive<i64>) -> Parsed<i64> {
    let token =
        if raw.get().starts_with('"') { borrowed(raw, at)? } else { Cow::Borrowed(raw.get()) };
    match parse_integer(&token) {
        Some(number) if range.contains(&number) => Ok(number),
        _ => at.refuse(format!("must be an integer from {} to {}", range.start(), range.end())),
    }
}

/// Floats hold integers exactly up to 2^53; what is larger is not a count that the protocol knows.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The integer that a number token or its text stands for.
pub(crate) fn parse_integer(token: &str) -> Option<i64> {
    if let Ok(number) = token.parse() {
        return Some(number);
    }
    let number: f64 = token.parse().ok()?;
    if number.fract() != 0.0 || !(-EXACT..=EXACT).contains(&number) {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

/// Bytes in either base64 alphabet, padded or not, with line breaks or without.
pub fn bytes(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Vec<u8>> {
    let text = borrowed(raw, at)?;
    let standard = if text.bytes().any(|b| matches!(b, b'-' | b'_')) {
        Cow::Owned(text.replace('-', "+").replace('_', "/"))
    } else {
        text
    };
    let read = LENIENT.decode(standard.as_bytes()).or_else(|error| {
        // As MIME has it, and `base64` on the command line: in lines.
        let is_json_whitespace = |c: char| c.is_ascii_whitespace();
        let joined =
            standard.contains(is_json_whitespace).then(|| standard.replace(is_json_whitespace, ""));
        joined.map_or(Err(error), |joined| LENIENT.decode(joined))
    });
    match read {
        Ok(bytes) => Ok(bytes),
        Err(error) => at.refuse(format!("must be base64: {error}")),
    }
}

/// A point in time, RFC 3339 with any offset, in the years of protobuf's timestamps: what is beyond them in UTC could not be
/// written.
pub fn timestamp(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Timestamp> {
    let text = borrowed(raw, at)?;
    let read = DateTime::parse_from_rfc3339(text.trim()).map(|time| time.with_timezone(&Utc));
    match read {
        Ok(time) if (1..=9999).contains(&time.year()) => Ok(time),
        Ok(_) => at.refuse("must be in the years 0001 to 9999 of UTC"),
        Err(_) => at.refuse("must be an RFC 3339 time such as 2026-01-31T12:00:00.000Z"),
    }
}

/// Any JSON value, kept as it came.
pub fn json(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Json> {
    let parse = if at.is_checked() { Json::parse_checked } else { Json::parse };
    match parse(raw.get()) {
        Ok(json) => Ok(json),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// A JSON object, kept as it came.
pub fn json_object(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<JsonObject> {
    let parse = if at.is_checked() { JsonObject::parse_checked } else { JsonObject::parse };
    match parse(raw.get()) {
        Ok(object) => Ok(object),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// An identifier of a type that checks itself.
pub fn id<T, E: std::fmt::Display>(
    new: impl Fn(String) -> Result<T, E>,
) -> impl Fn(RawJson<'_>, &JsonPath<'_>) -> Parsed<T> {
    move |raw, at| match new(text(raw, at)?) {
        Ok(id) => Ok(id),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// An enum's value by number, by number in a string, or by name: upper or lower case, `-` or `_`, with or without
/// the prefix. `None` for the unspecified value, which has number 0.
pub fn enumeration<T: Copy>(
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
    prefix: &str,
    values: &[(T, i64, &str)],
) -> Parsed<Option<T>> {
    let token =
        if raw.get().starts_with('"') { borrowed(raw, at)? } else { Cow::Borrowed(raw.get()) };
    let exact = |name: &str| values.iter().find(|(_, _, n)| *n == name).map(|v| v.0);
    if let Some(value) = token.strip_prefix(prefix).and_then(exact) {
        return Ok(Some(value));
    }
    let found = match parse_integer(&token) {
        Some(0) => Some(None),
        Some(number) => values.iter().find(|(_, n, _)| *n == number).map(|v| Some(v.0)),
        None => {
            let name = token.to_ascii_uppercase().replace('-', "_");
            let name = name.strip_prefix(prefix).unwrap_or(&name);
            if matches!(name, "UNSPECIFIED" | "") { Some(None) } else { exact(name).map(Some) }
        }
    };
    match found {
        Some(value) => Ok(value),
        None => at.refuse(format!("must be one of {}", names(prefix, values))),
    }
}

/// The protocol's names: of several spellings of one value the first.
fn names<T>(prefix: &str, values: &[(T, i64, &str)]) -> String {
    let first = |at: &usize| values[..*at].iter().all(|(_, number, _)| *number != values[*at].1);
    let names: Vec<String> =
        (0..values.len()).filter(first).map(|at| format!("{prefix}{}", values[at].2)).collect();
    names.join(", ")
}
