//! The resume cursor in metadata, for bindings without event ids: `{"<uri>": {"seq": n}}`.

use longhaul_domain::{Json, JsonObject, Seq, extension::RESUME};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt::Write};

/// The metadata with the cursor in it. Every other member stays byte for byte, in its order; an older cursor is
/// replaced.
pub fn with_resume(metadata: Option<&JsonObject>, seq: Seq) -> JsonObject {
    let mut text = String::from("{");
    let mut first = true;
    if let Some(metadata) = metadata {
        if metadata.as_str().contains(RESUME) || metadata.as_str().contains('\\') {
            copy_other_members(metadata, &mut text, &mut first);
        } else if metadata.as_str() != "{}" {
            // Without that name in it, the text up to the closing brace can be taken as it is.
            text.push_str(metadata.as_str().trim_start_matches('{').trim_end_matches('}'));
            text = metadata.as_str()[..metadata.as_str().len() - 1].to_owned();
            first = false;
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(text, "{}\"{RESUME}\":{{\"seq\":{seq}}}}}", if first { "" } else { "," });
    JsonObject::parse(&text).unwrap_or_else(|_| only(seq))
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
    let cursor: Cursor = metadata.get(RESUME)?.to().ok()?;
    let token = cursor.seq.get().trim_matches('"');
    crate::raw::scalar::parse_integer(token).filter(|seq| *seq >= 0).map(Seq)
}
