//! Reads JSON that is to be signed or verified.
//!
//! A name that stands twice in an object is refused (RFC 8785 section 3.1): readers differ in which one they take, so a
//! signature could otherwise be shown over one card and believed of another.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Why bytes are no JSON that can be signed. Names the line and column.
#[derive(Debug, thiserror::Error)]
#[error("it is not JSON that can be signed: {0}")]
pub struct ReadError(#[from] serde_json::Error);

/// Reads one JSON value, at most 128 levels deep.
pub fn read(bytes: &[u8]) -> Result<Value, ReadError> {
    let Unambiguous(value) = serde_json::from_slice(bytes)?;
    Ok(value)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
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
    fn a_name_that_stands_twice_is_refused() {
        let error = read(b"{\"a\": {\"b\": 1, \"\\u0062\": 2}}").unwrap_err();
        assert!(error.to_string().contains("\"b\" stands twice"), "{error}");
    }

    #[test]
    fn other_json_is_read() {
        let text = br#"{"a": [null, true, -1, 18446744073709551615, 1.5, "x\ny"], "b": {"a": {}}}"#;
        let value = json!({"a": [null, true, -1, u64::MAX, 1.5, "x\ny"], "b": {"a": {}}});
        assert_eq!(read(text).unwrap(), value);
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for text in ["", "{", "1 2", "NaN", "1e999", "\"\\ud800\"", &"[".repeat(100_000)] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
