//! JSON values as `google.protobuf.Value` and `Struct`, and back.
//!
//! Protobuf numbers are doubles and members have no order: integers over 2^53 are rounded, `1.0`
//! returns as `1`, and members return sorted by name. Everything else survives. Nesting is limited
//! both ways; protobuf readers stop at a hundred nested messages, earlier than JSON readers.

use longhaul_domain::{
    Json, JsonObject,
    bounds::MAX_DATA_DEPTH,
    json::{JsonError, MAX_JSON_DEPTH},
};
use longhaul_wire::raw::{JsonPath, Parsed, RawJson, Violations, elements, members};
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Reads a value; one without a kind is `null`.
pub(crate) fn json(value: &Value, at: &JsonPath<'_>) -> Parsed<Json> {
    // The detour through text applies the checks of the JSON dialects.
    let mut text = String::new();
    match write(value, &mut text, 0)
        .and_then(|()| Json::parse(&text).map_err(|why| why.to_string()))
    {
        Ok(json) => Ok(json),
        Err(why) => at.refuse(why),
    }
}

/// Reads an object.
pub(crate) fn object(object: &Struct, at: &JsonPath<'_>) -> Parsed<JsonObject> {
    let mut text = String::new();
    let written = write_members(&object.fields, &mut text, 0);
    match written.and_then(|()| JsonObject::parse(&text).map_err(|why| why.to_string())) {
        Ok(object) => Ok(object),
        Err(why) => at.refuse(why),
    }
}

/// Reads an optional object.
pub(crate) fn maybe_object(
    given: Option<&Struct>,
    at: &JsonPath<'_>,
) -> Parsed<Option<JsonObject>> {
    given.map(|given| object(given, at)).transpose()
}

fn write(value: &Value, text: &mut String, depth: usize) -> Result<(), String> {
    match &value.kind {
        // A value without a kind is malformed; it reads as null.
        None | Some(Kind::NullValue(_)) => text.push_str("null"),
        Some(Kind::BoolValue(value)) => text.push_str(if *value { "true" } else { "false" }),
        Some(Kind::NumberValue(number)) => write_number(*number, text)?,
        Some(Kind::StringValue(value)) => write_string(value, text)?,
        Some(Kind::StructValue(object)) => write_members(&object.fields, text, depth)?,
        Some(Kind::ListValue(list)) => {
            check_depth(depth)?;
            text.push('[');
            for (index, value) in list.values.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write(value, text, depth + 1)?;
            }
            text.push(']');
        }
    }
    Ok(())
}

fn write_members(
    members: &BTreeMap<String, Value>,
    text: &mut String,
    depth: usize,
) -> Result<(), String> {
    check_depth(depth)?;
    text.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        write_string(name, text)?;
        text.push(':');
        write(value, text, depth + 1)?;
    }
    text.push('}');
    Ok(())
}

fn check_depth(depth: usize) -> Result<(), String> {
    if depth < MAX_JSON_DEPTH { Ok(()) } else { Err(JsonError::TooDeep.to_string()) }
}

fn write_string(value: &str, text: &mut String) -> Result<(), String> {
    text.push_str(&serde_json::to_string(value).map_err(|why| why.to_string())?);
    Ok(())
}

/// Writes the shortest text that parses to the same double; integral numbers without a fraction.
fn write_number(number: f64, text: &mut String) -> Result<(), String> {
    if !number.is_finite() {
        return Err("holds a number that is not finite; JSON has no such numbers".to_owned());
    }
    // `Debug` prints the shortest text that parses back.
    let shown = format!("{number:?}");
    text.push_str(shown.strip_suffix(".0").unwrap_or(&shown));
    Ok(())
}

/// Converts a value for output.
pub(crate) fn value(json: &Json) -> Value {
    let Ok(raw) = json.to::<&RawValue>() else { return Value::default() };
    // The value was checked when it was accepted.
    let sink = Violations::for_checked_text();
    raw_to_value(raw.into(), &JsonPath::root(&sink), 0)
}

/// Converts an object for output.
pub(crate) fn object_to_struct(object: &JsonObject) -> Struct {
    match value(object.as_json()).kind {
        Some(Kind::StructValue(object)) => object,
        _ => Struct::default(),
    }
}

/// Converts an integer to a double, as for all numbers.
pub(crate) fn integer_value(number: i64) -> Value {
    Value { kind: Some(Kind::NumberValue(nearest_double(&number.to_string()))) }
}

/// Converts checked JSON text, which cannot fail. Values too deep for clients become their JSON
/// text: earlier releases accepted such data, and one value must not make a whole list unreadable.
fn raw_to_value(raw: RawJson<'_>, at: &JsonPath<'_>, depth: usize) -> Value {
    let token = raw.get();
    let kind = match token.as_bytes().first() {
        Some(b'{' | b'[') if depth >= MAX_DATA_DEPTH => Kind::StringValue(token.to_owned()),
        Some(b'{') => {
            let mut fields = BTreeMap::new();
            // Cannot fail on checked text.
            let _ = members(raw, at, |name, raw| {
                fields.insert(name.to_owned(), raw_to_value(raw, at, depth + 1));
            });
            Kind::StructValue(Struct { fields })
        }
        Some(b'[') => {
            let mut values = Vec::new();
            let _ = elements(raw, at, |_, raw| values.push(raw_to_value(raw, at, depth + 1)));
            Kind::ListValue(ListValue { values })
        }
        Some(b'"') => Kind::StringValue(raw.string().unwrap_or_default().into_owned()),
        Some(b't') => Kind::BoolValue(true),
        Some(b'f') => Kind::BoolValue(false),
        Some(b'n') | None => Kind::NullValue(0),
        Some(_) => Kind::NumberValue(nearest_double(token)),
    };
    Value { kind: Some(kind) }
}

/// Nearest double. Numbers beyond the range become the largest double, since JSON has no infinity.
fn nearest_double(token: &str) -> f64 {
    token.parse::<f64>().unwrap_or_default().clamp(f64::MIN, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(text: &str) -> String {
        let sink = Violations::default();
        let value = value(&Json::parse(text).unwrap());
        json(&value, &JsonPath::root(&sink)).unwrap().as_str().to_owned()
    }

    fn refused(value: &Value) -> String {
        let sink = Violations::default();
        json(value, &JsonPath::root(&sink)).unwrap_err();
        sink.into_list().remove(0).description
    }

    #[test]
    fn values_that_fit_a_double_survive() {
        for text in ["null", "true", "[]", "{}", r#"{"a":[1,-2,0.5,"ä\"\n"],"z":null}"#, "1e300"] {
            assert_eq!(back(text), text);
        }
    }

    #[test]
    fn numbers_are_written_as_doubles_without_an_empty_fraction() {
        for (given, shown) in [
            ("1.0", "1"),
            ("-0.0", "-0"),
            ("12345678901234567890", "1.2345678901234567e19"),
            ("9007199254740993", "9007199254740992"),
            ("1e400", "1.7976931348623157e308"),
            ("1E2", "100"),
        ] {
            assert_eq!(back(given), shown, "{given}");
        }
    }

    #[test]
    fn the_last_of_duplicate_names_wins() {
        assert_eq!(back(r#"{"b":1,"a":2,"b":3}"#), r#"{"a":2,"b":3}"#);
    }

    #[test]
    fn values_too_deep_for_clients_become_text() {
        let nested = |depth: usize, inner: &str| {
            format!("{}{inner}{}", "{\"a\":".repeat(depth), "}".repeat(depth))
        };
        let deepest = nested(MAX_DATA_DEPTH, "1");
        assert_eq!(back(&deepest), deepest);
        let deeper = nested(MAX_DATA_DEPTH, r#"{"b":[1]}"#);
        assert_eq!(back(&deeper), nested(MAX_DATA_DEPTH, r#""{\"b\":[1]}""#));
    }

    #[test]
    fn values_outside_json_are_refused() {
        let of = |kind| Value { kind: Some(kind) };
        assert!(refused(&of(Kind::NumberValue(f64::NAN))).contains("not finite"));
        assert!(refused(&of(Kind::StringValue("\0".to_owned()))).contains("U+0000"));
        let deep = (0..=MAX_JSON_DEPTH).fold(Value::default(), |inner, _| {
            of(Kind::ListValue(ListValue { values: vec![inner] }))
        });
        assert!(refused(&deep).contains("nested deeper"));
    }
}
