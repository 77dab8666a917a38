//! Scalar readers. They accept more spellings than the writers produce.

use super::{JsonPath, Parsed, RawJson};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Datelike, Utc};
use longhaul_domain::{Json, JsonObject, Timestamp, check_text};
use std::{borrow::Cow, ops::RangeInclusive};

/// Base64 decoder that ignores missing padding and unused trailing bits.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
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

/// Reads a string without U+0000.
pub fn text(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<String> {
    let text = borrowed(raw, at)?;
    match check_text(&text) {
        Ok(()) => Ok(text.into_owned()),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// Reads a non-empty string.
pub fn non_empty_text(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<String> {
    let text = text(raw, at)?;
    if text.is_empty() { at.refuse("must not be empty") } else { Ok(text) }
}

/// Reads `true` or `false`, also as a string.
pub fn boolean(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<bool> {
    match raw.get() {
        "true" | "\"true\"" => Ok(true),
        "false" | "\"false\"" => Ok(false),
        _ => at.refuse("must be true or false"),
    }
}

/// Reads an integer, given as a number, an integral float or a string.
pub fn integer(raw: RawJson<'_>, at: &JsonPath<'_>, range: RangeInclusive<i64>) -> Parsed<i64> {
    let token =
        if raw.get().starts_with('"') { borrowed(raw, at)? } else { Cow::Borrowed(raw.get()) };
    match parse_integer(&token) {
        Some(number) if range.contains(&number) => Ok(number),
        _ => at.refuse(format!("must be an integer from {} to {}", range.start(), range.end())),
    }
}

/// Maximum magnitude (2^53) up to which floats hold every integer exactly.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Parses the integer of a number token or of a string's text.
pub(crate) fn parse_integer(token: &str) -> Option<i64> {
    if let Ok(number) = token.parse() {
        return Some(number);
    }
    // Integral floats and exponents count as integers.
    let number: f64 = token.parse().ok()?;
    if number.fract() != 0.0 || !(-MAX_EXACT_INTEGER..=MAX_EXACT_INTEGER).contains(&number) {
        return None;
    }
    // An exact float prints as the integer that it holds.
    format!("{number:.0}").parse().ok()
}

/// Reads base64 in either alphabet, with or without padding and line breaks.
pub fn bytes(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Vec<u8>> {
    let text = borrowed(raw, at)?;
    // Maps the URL-safe alphabet to the standard one.
    let standard = if text.bytes().any(|b| matches!(b, b'-' | b'_')) {
        Cow::Owned(text.replace('-', "+").replace('_', "/"))
    } else {
        text
    };
    let read = LENIENT_BASE64.decode(standard.as_bytes()).or_else(|error| {
        // MIME and the `base64` command break lines.
        let is_json_whitespace = |c: char| c.is_ascii_whitespace();
        let joined =
            standard.contains(is_json_whitespace).then(|| standard.replace(is_json_whitespace, ""));
        joined.map_or(Err(error), |joined| LENIENT_BASE64.decode(joined))
    });
    match read {
        Ok(bytes) => Ok(bytes),
        Err(error) => at.refuse(format!("must be base64: {error}")),
    }
}

/// Reads an RFC 3339 time with any offset. The UTC year must be one that protobuf timestamps can
/// express.
pub fn timestamp(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Timestamp> {
    let text = borrowed(raw, at)?;
    let read = DateTime::parse_from_rfc3339(text.trim()).map(|time| time.with_timezone(&Utc));
    match read {
        Ok(time) if (1..=9999).contains(&time.year()) => Ok(time),
        Ok(_) => at.refuse("must be in the years 0001 to 9999 of UTC"),
        Err(_) => at.refuse("must be an RFC 3339 time such as 2026-01-31T12:00:00.000Z"),
    }
}

/// Reads any JSON value and keeps its text.
pub fn json(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Json> {
    let parse = if at.is_checked() { Json::parse_checked } else { Json::parse };
    match parse(raw.get()) {
        Ok(json) => Ok(json),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// Reads a JSON object and keeps its text.
pub fn json_object(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<JsonObject> {
    let parse = if at.is_checked() { JsonObject::parse_checked } else { JsonObject::parse };
    match parse(raw.get()) {
        Ok(object) => Ok(object),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// Reads an identifier with a checking constructor.
pub fn id<T, E: std::fmt::Display>(
    new: impl Fn(String) -> Result<T, E>,
) -> impl Fn(RawJson<'_>, &JsonPath<'_>) -> Parsed<T> {
    move |raw, at| match new(text(raw, at)?) {
        Ok(id) => Ok(id),
        Err(error) => at.refuse(error.to_string()),
    }
}

/// Reads an enum value by number, by number in a string, or by name: any case, `-` or `_`, with or
/// without the prefix. `None` is the unspecified value, which has number 0.
pub fn enumeration<T: Copy>(
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
    prefix: &str,
    values: &[(T, i64, &str)],
) -> Parsed<Option<T>> {
    let token =
        if raw.get().starts_with('"') { borrowed(raw, at)? } else { Cow::Borrowed(raw.get()) };
    let exact = |name: &str| values.iter().find(|(_, _, n)| *n == name).map(|v| v.0);
    // Fast path for the canonical name.
    if let Some(value) = token.strip_prefix(prefix).and_then(exact) {
        return Ok(Some(value));
    }
    let found = match parse_integer(&token) {
        // The unspecified value of every protobuf enum.
        Some(0) => Some(None),
        Some(number) => values.iter().find(|(_, n, _)| *n == number).map(|v| Some(v.0)),
        None => {
            // Accepts `input-required` of 0.3 like `TASK_STATE_INPUT_REQUIRED` of 1.0.
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

/// Protocol names of the values; the first spelling of each.
fn names<T>(prefix: &str, values: &[(T, i64, &str)]) -> String {
    // Later rows with the same number are aliases.
    let first = |at: &usize| values[..*at].iter().all(|(_, number, _)| *number != values[*at].1);
    let names: Vec<String> =
        (0..values.len()).filter(first).map(|at| format!("{prefix}{}", values[at].2)).collect();
    names.join(", ")
}
