//! Parses JSON for signing and verification.
//!
//! Duplicate names in an object are rejected (RFC 8785 section 3.1). Parsers differ in which one
//! they take, so a signature of one card could otherwise pass for another.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The error of JSON that cannot be signed, with line and column.
#[derive(Debug, thiserror::Error)]
#[error("it is not JSON that can be signed: {0}")]
pub struct JsonReadError(#[from] serde_json::Error);

/// Parses one JSON value without duplicate names, at most 128 levels deep.
pub fn parse_unambiguous(bytes: &[u8]) -> Result<Value, JsonReadError> {
    let Unambiguous(value) = serde_json::from_slice(bytes)?;
    Ok(value)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            // Names are compared after unescaping: `a` and `\u0061` are the same name.
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("{name:?} stands twice in one object")));
            }
            let Unambiguous(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duplicate_names_are_rejected() {
        let error = parse_unambiguous(b"{\"a\": {\"b\": 1, \"\\u0062\": 2}}").unwrap_err();
        assert!(error.to_string().contains("\"b\" stands twice"), "{error}");
    }

    #[test]
    fn other_json_is_parsed() {
        let text = br#"{"a": [null, true, -1, 18446744073709551615, 1.5, "x\ny"], "b": {"a": {}}}"#;
        let value = json!({"a": [null, true, -1, u64::MAX, 1.5, "x\ny"], "b": {"a": {}}});
        assert_eq!(parse_unambiguous(text).unwrap(), value);
    }

    #[test]
    fn text_without_canonical_form_is_rejected() {
        for text in ["", "{", "1 2", "NaN", "1e999", "\"\\ud800\"", &"[".repeat(100_000)] {
            assert!(parse_unambiguous(text.as_bytes()).is_err(), "{text}");
        }
    }
}
