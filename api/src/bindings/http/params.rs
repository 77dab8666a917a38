//! Parameters of an operation as one JSON object, from body, query and path (A2A 11.4, 11.5). The
//! path takes precedence. Validation is left to the decoder.

use longhaul_wire::ProtocolError;
use percent_encoding::percent_decode;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;

/// Parameters from the path, by name.
pub type PathParams<'a> = [(&'static str, Cow<'a, str>)];

/// Parameters of a request with a body; an empty body counts as an empty object.
pub fn from_body<'a>(
    body: &'a [u8],
    path_params: &PathParams<'_>,
) -> Result<Cow<'a, RawValue>, ProtocolError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| ProtocolError::ParseError(format!("the body is not UTF-8: {error}")))?;
    if text.trim_ascii().is_empty() {
        return object(path_params, &[]).map(Cow::Owned);
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    // Spliced as text, so that numbers and member order stay as they were sent.
    let inside = raw.get().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let Some(inside) = inside else {
        return Err(ProtocolError::invalid("body", "must be a JSON object"));
    };
    // Without path parameters the body needs no copy.
    if path_params.is_empty() {
        return Ok(Cow::Borrowed(raw));
    }
    let path_object = object(path_params, &[])?;
    if inside.trim_ascii().is_empty() {
        return Ok(Cow::Owned(path_object));
    }
    // The last of several members with one name counts.
    let path_object = path_object.get().trim_start_matches('{');
    let joined = RawValue::from_string(format!("{{{inside},{path_object}"));
    joined.map(Cow::Owned).map_err(|error| not_json(&error))
}

/// Parameters of a request without a body, as strings. Empty ones count as absent.
pub fn from_query(
    query: &str,
    path_params: &PathParams<'_>,
) -> Result<Box<RawValue>, ProtocolError> {
    let mut given = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded("query", name, Plus::IsSpace)?;
        let plus = match &*name {
            // An offset that was not encoded; no client means a space there.
            "statusTimestampAfter" | "status_timestamp_after" => Plus::IsPlus,
            _ => Plus::IsSpace,
        };
        let value = decoded(&name, value, plus)?;
        if !value.is_empty() {
            given.push((name, value));
        }
    }
    object(path_params, &given)
}

/// Meaning of a plus in a query.
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

/// A JSON object of strings; path parameters come last.
fn object(
    path_params: &PathParams<'_>,
    given: &[(String, String)],
) -> Result<Box<RawValue>, ProtocolError> {
    let given = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let path_params = path_params.iter().map(|(name, value)| (*name, &**value));
    let members: Vec<(&str, &str)> = given.chain(path_params).collect();
    // Strings can always be encoded.
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

    fn path_params(id: &str) -> [(&'static str, Cow<'_, str>); 1] {
        [("id", Cow::Borrowed(id))]
    }

    #[test]
    fn a_body_is_passed_on_unchanged() {
        let params = from_body(b" {\"a\": 1.0} ", &[]).unwrap();
        assert!(matches!(params, Cow::Borrowed(raw) if raw.get() == r#"{"a": 1.0}"#));
    }

    #[test]
    fn path_parameters_come_last() {
        for (body, wanted) in [
            ("", r#"{"id":"x"}"#),
            (" \r\n", r#"{"id":"x"}"#),
            ("{ }", r#"{"id":"x"}"#),
            (r#"{"id":"y","metadata":{}}"#, r#"{"id":"y","metadata":{},"id":"x"}"#),
        ] {
            let params = from_body(body.as_bytes(), &path_params("x")).unwrap();
            assert_eq!(params.get(), wanted, "{body}");
        }
        let params = from_body(b"{}", &path_params("a\"b\\")).unwrap();
        assert_eq!(params.get(), r#"{"id":"a\"b\\"}"#);
    }

    #[test]
    fn a_body_other_than_an_object_is_refused() {
        for body in ["[]", "1", "null", "\"{}\""] {
            let error = from_body(body.as_bytes(), &path_params("x")).unwrap_err();
            assert_eq!(error, ProtocolError::invalid("body", "must be a JSON object"), "{body}");
        }
        for body in [&b"{"[..], b"{} {}", b"\xff", b"{\"a\":}"] {
            let error = from_body(body, &path_params("x")).unwrap_err();
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
            assert_eq!(from_query(query, &[]).unwrap().get(), wanted, "{query}");
        }
        assert_eq!(from_query("id=y", &path_params("x")).unwrap().get(), r#"{"id":"y","id":"x"}"#);
        let error = from_query("pageToken=%ff", &[]).unwrap_err();
        assert_eq!(error, ProtocolError::invalid("pageToken", "is not valid UTF-8 in the query"));
    }
}
