//! The resume cursor in metadata, for bindings without event ids: `{"<uri>": {"seq": n}}`.

use crate::metadata::with_member;
use longhaul_domain::{JsonObject, Seq, extension::RESUME_EXTENSION};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The metadata with the cursor in it. Every other member stays byte for byte, in its order; an older cursor is
/// replaced.
#[expect(clippy::missing_panics_doc, reason = "a fixed name and a number are always JSON")]
pub fn with_resume(metadata: Option<&JsonObject>, seq: Seq) -> JsonObject {
    let cursor = format!("{{\"seq\":{seq}}}");
    with_member(metadata, RESUME_EXTENSION, &cursor).expect("a fixed name and a number are JSON")
}

/// The metadata, with the cursor in it when there is one.
pub(crate) fn maybe_resume(
    metadata: Option<&JsonObject>,
    seq: Option<Seq>,
) -> Option<Cow<'_, JsonObject>> {
    match seq {
        Some(seq) => Some(Cow::Owned(with_resume(metadata, seq))),
        None => metadata.map(Cow::Borrowed),
    }
}

/// The cursor in metadata that was received.
pub fn resume(metadata: &JsonObject) -> Option<Seq> {
    #[derive(serde::Deserialize)]
    struct Cursor {
        seq: Box<RawValue>,
    }
    let cursor: Cursor = metadata.get(RESUME_EXTENSION)?.to().ok()?;
    let token = cursor.seq.get().trim_matches('"');
    crate::raw::scalar::parse_integer(token).filter(|seq| *seq >= 0).map(Seq)
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
        let merged = with_resume(Some(&object(text)), Seq(7));
        let expected = format!(r#"{},"{RESUME_EXTENSION}":{{"seq":7}}}}"#, &text[..text.len() - 1]);
        assert_eq!(merged.as_str(), expected);
        assert_eq!(resume(&merged), Some(Seq(7)));
    }

    #[test]
    fn a_cursor_is_replaced_and_stands_alone_where_there_was_nothing() {
        let alone = format!(r#"{{"{RESUME_EXTENSION}":{{"seq":9}}}}"#);
        assert_eq!(with_resume(None, Seq(9)).as_str(), alone);
        assert_eq!(with_resume(Some(&object("{}")), Seq(9)).as_str(), alone);
        let old = with_resume(None, Seq(3));
        assert_eq!(with_resume(Some(&old), Seq(9)).as_str(), alone);
    }

    #[test]
    fn metadata_without_a_cursor_gives_none() {
        for text in ["{}", r#"{"urn:longhaul:a2a:resume:v1":1}"#, r#"{"seq":1}"#] {
            assert_eq!(resume(&object(text)), None, "{text}");
        }
    }
}
