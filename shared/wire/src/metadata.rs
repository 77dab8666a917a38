//! Metadata members, added and removed without touching the others, which stay byte for byte and in
//! order. The resume cursor is one such member, `{"<uri>": {"seq": n}}`, for bindings without event
//! ids.

use crate::raw::scalar::parse_integer;
use longhaul_domain::{JsonObject, Seq, extension::RESUME_EXTENSION};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Adds the resume cursor to the metadata, replacing an older one.
#[expect(clippy::missing_panics_doc, reason = "a fixed name and a number are always JSON")]
pub fn with_cursor(metadata: Option<&JsonObject>, seq: Seq) -> JsonObject {
    let cursor = format!("{{\"seq\":{seq}}}");
    with_member(metadata, RESUME_EXTENSION, &cursor).expect("a fixed name and a number are JSON")
}

/// Adds the resume cursor if there is one.
pub(crate) fn with_optional_cursor(
    metadata: Option<&JsonObject>,
    seq: Option<Seq>,
) -> Option<Cow<'_, JsonObject>> {
    match seq {
        Some(seq) => Some(Cow::Owned(with_cursor(metadata, seq))),
        None => metadata.map(Cow::Borrowed),
    }
}

/// Reads the resume cursor from received metadata.
pub fn read_cursor(metadata: &JsonObject) -> Option<Seq> {
    #[derive(serde::Deserialize)]
    struct Cursor {
        seq: Box<RawValue>,
    }
    let cursor: Cursor = metadata.get(RESUME_EXTENSION)?.to().ok()?;
    // Protobuf JSON writes 64-bit integers as strings.
    let token = cursor.seq.get().trim_matches('"');
    parse_integer(token).filter(|seq| *seq >= 0).map(Seq)
}

/// Appends a member, replacing one of the same name. `name` must need no JSON escapes, as is true
/// of every URI; `value` is JSON.
pub(crate) fn with_member(
    metadata: Option<&JsonObject>,
    name: &str,
    value: &str,
) -> Option<JsonObject> {
    let mut text = metadata
        .and_then(|metadata| other_members(metadata, name))
        .unwrap_or_else(|| String::from("{"));
    // A length of one is the bare opening brace.
    text.push_str(if text.len() > 1 { "," } else { "" });
    text.extend(["\"", name, "\":", value, "}"]);
    JsonObject::parse(&text).ok()
}

/// Removes a member; `None` if nothing is left.
pub(crate) fn without_member(metadata: &JsonObject, name: &str) -> Option<JsonObject> {
    // A length of one means that no other member is left.
    let mut text = other_members(metadata, name).filter(|text| text.len() > 1)?;
    text.push('}');
    JsonObject::parse(&text).ok()
}

/// Object text without the closing brace and without the named member.
fn other_members(metadata: &JsonObject, name: &str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(metadata.as_str());
    deserializer.deserialize_map(OtherMembersVisitor(name)).ok()
}

struct OtherMembersVisitor<'a>(&'a str);

impl<'de> Visitor<'de> for OtherMembersVisitor<'_> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut text = String::from("{");
        // Names are read raw, so their escapes survive as written.
        while let Some(name) = map.next_key::<&'de RawValue>()? {
            let value = map.next_value::<&'de RawValue>()?;
            // Compared without escapes, since a name can be spelled in many ways.
            if serde_json::from_str::<String>(name.get()).is_ok_and(|name| name == self.0) {
                continue;
            }
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(name.get());
            text.push(':');
            text.push_str(value.get());
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> JsonObject {
        JsonObject::parse(text).unwrap()
    }

    #[test]
    fn other_members_stay_byte_for_byte() {
        let text = r#"{"z":1.0,"\u00e9":"\u0041\"","a":12345678901234567890,"n":null}"#;
        let merged = with_cursor(Some(&object(text)), Seq(7));
        let expected = format!(r#"{},"{RESUME_EXTENSION}":{{"seq":7}}}}"#, &text[..text.len() - 1]);
        assert_eq!(merged.as_str(), expected);
        assert_eq!(read_cursor(&merged), Some(Seq(7)));
    }

    #[test]
    fn a_cursor_replaces_an_older_one_and_needs_no_metadata() {
        let alone = format!(r#"{{"{RESUME_EXTENSION}":{{"seq":9}}}}"#);
        assert_eq!(with_cursor(None, Seq(9)).as_str(), alone);
        assert_eq!(with_cursor(Some(&object("{}")), Seq(9)).as_str(), alone);
        let old = with_cursor(None, Seq(3));
        assert_eq!(with_cursor(Some(&old), Seq(9)).as_str(), alone);
    }

    #[test]
    fn metadata_without_a_cursor_gives_none() {
        for text in ["{}", r#"{"urn:longhaul:a2a:resume:v1":1}"#, r#"{"seq":1}"#] {
            assert_eq!(read_cursor(&object(text)), None, "{text}");
        }
    }
}
