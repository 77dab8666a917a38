//! The parameters of an operation as one JSON object, from wherever they stand: body, query and path (A2A 11.4, 11.5). What the
//! path says counts most. Nothing is judged here; that is done by who reads the object.

use longhaul_wire::ProtocolError;
use percent_encoding::percent_decode;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;

/// Parameters from the path, by name.
pub type Placed<'a> = [(&'static str, Cow<'a, str>)];

/// Those of a request with a body. A body of nothing is an empty object.
pub fn of_body<'a>(
    body: &'a [u8],
    placed: &Placed<'_>,
) -> Result<Cow<'a, RawValue>, ProtocolError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| ProtocolError::ParseError(format!("the body is not UTF-8: {error}")))?;
    if text.trim_ascii().is_empty() {
        return object(placed, &[]).map(Cow::Owned);
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let inside = raw.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let Some(inside) = inside else {
        return Err(ProtocolError::invalid("body", "must be a JSON object"));
    };
    if placed.is_empty() {
        return Ok(Cow::Borrowed(raw));
    }
    let ours = object(placed, &[])?;
    if inside.trim_ascii().is_empty() {
        return Ok(Cow::Owned(ours));
    }
    // Of a name given twice the last one counts.
    let ours = ours.get().trim_start_matches('{');
    let joined = RawValue::from_string(format!("{{{inside},{ours}"));
    joined.map(Cow::Owned).map_err(|error| not_json(&error))
}

/// Those of a request without a body: every value of a query is a string. One that is empty says nothing.
pub fn of_query(query: &str, placed: &Placed<'_>) -> Result<Box<RawValue>, ProtocolError> {
    let mut given = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded("query", name, Plus::IsSpace)?;
        let plus = match &*name {
            // Nobody means a space there; an offset that was not encoded is meant.
            "statusTimestampAfter" | "status_timestamp_after" => Plus::IsPlus,
            _ => Plus::IsSpace,
        };
        let value = decoded(&name, value, plus)?;
        if !value.is_empty() {
            given.push((name, value));
        }
    }
    object(placed, &given)
}

/// What a plus stands for in a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsSpace,
    IsPlus,
}

fn decoded(name: &str, raw: &str, plus: Plus) -> Result<String, ProtocolError> {
    let raw = match plus {
        Plus::IsSpace => raw.replace('+', " "),
        Plus::IsPlus => raw.to_owned(),
    };
    match percent_decode(raw.as_bytes()).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(ProtocolError::invalid(name, "is not valid UTF-8 in the query")),
    }
}

/// An object of strings; what was placed comes last.
fn object(placed: &Placed<'_>, given: &[(String, String)]) -> Result<Box<RawValue>, ProtocolError> {
    let given = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let placed = placed.iter().map(|(name, value)| (*name, &**value));
    let members: Vec<(&str, &str)> = given.chain(placed).collect();
    // Strings can always be written.
    to_raw_value(&Strings(&members)).map_err(|error| not_json(&error))
}

struct Strings<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for Strings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

fn not_json(error: &serde_json::Error) -> ProtocolError {
    ProtocolError::ParseError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(id: &str) -> [(&'static str, Cow<'_, str>); 1] {
        [("id", Cow::Borrowed(id))]
    }

    #[test]
    fn a_body_is_taken_as_it_came() {
        let params = of_body(b" {\"a\": 1.0} ", &[]).unwrap();
        assert!(matches!(params, Cow::Borrowed(raw) if raw.get() == r#"{"a": 1.0}"#));
    }

    #[test]
    fn what_the_path_says_comes_last() {
        for (body, wanted) in [
            ("", r#"{"id":"x"}"#),
            (" \r\n", r#"{"id":"x"}"#),
            ("{ }", r#"{"id":"x"}"#),
            (r#"{"id":"y","metadata":{}}"#, r#"{"id":"y","metadata":{},"id":"x"}"#),
        ] {
            let params = of_body(body.as_bytes(), &placed("x")).unwrap();
            assert_eq!(params.get(), wanted, "{body}");
        }
        let params = of_body(b"{}", &placed("a\"b\\")).unwrap();
        assert_eq!(params.get(), r#"{"id":"a\"b\\"}"#);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[]", "1", "null", "\"{}\""] {
            let error = of_body(body.as_bytes(), &placed("x")).unwrap_err();
            assert_eq!(error, ProtocolError::invalid("body", "must be a JSON object"), "{body}");
        }
        for body in [&b"{"[..], b"{} {}", b"\xff", b"{\"a\":}"] {
            let error = of_body(body, &placed("x")).unwrap_err();
            assert!(matches!(error, ProtocolError::ParseError(_)), "{error}");
        }
    }

    #[test]
    fn a_query_is_an_object_of_strings() {
        for (query, wanted) in [
            ("", "{}"),
            ("&&a&=b&c=", r#"{"":"b"}"#),
            ("pageSize=5&includeArtifacts=true", r#"{"pageSize":"5","includeArtifacts":"true"}"#),
            ("contextId=a+b%2Bc%26d%3D", r#"{"contextId":"a b+c&d="}"#),
            ("a=1&a=2", r#"{"a":"1","a":"2"}"#),
            ("a=b=c", r#"{"a":"b=c"}"#),
            ("a=%", r#"{"a":"%"}"#),
            ("page%53ize=1", r#"{"pageSize":"1"}"#),
            (
                "statusTimestampAfter=2026-01-31T12:00:00+01:00",
                r#"{"statusTimestampAfter":"2026-01-31T12:00:00+01:00"}"#,
            ),
        ] {
            assert_eq!(of_query(query, &[]).unwrap().get(), wanted, "{query}");
        }
        assert_eq!(of_query("id=y", &placed("x")).unwrap().get(), r#"{"id":"y","id":"x"}"#);
        let error = of_query("pageToken=%ff", &[]).unwrap_err();
        assert_eq!(error, ProtocolError::invalid("pageToken", "is not valid UTF-8 in the query"));
    }
}
