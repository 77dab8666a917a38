//! Part (A2A 4.1.6).

use super::V1;
use crate::{
    raw::{Field, JsonPath, Parsed, RawJson, object, scalar},
    write::{Base64, Members},
};
use longhaul_domain::{Content, Part};
use serde::{Serialize, Serializer, ser::Error};

impl Serialize for V1<'_, Part> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        match &self.0.content {
            Content::Text(text) => members.put("text", text)?,
            Content::Raw(bytes) => members.put("raw", &Base64(bytes))?,
            Content::Url(url) => members.put("url", url)?,
            Content::Data(json) => members.put("data", json)?,
            Content::Blob(blob) => {
                return Err(S::Error::custom(format_args!("blob {} is kept apart", blob.hash)));
            }
        }
        members.maybe("metadata", self.0.metadata.as_ref())?;
        members.maybe("filename", self.0.filename.as_ref())?;
        members.maybe("mediaType", self.0.media_type.as_ref())?;
        members.close()
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Part> {
    let [text, bytes, url, data, metadata, filename, media_type] =
        object(raw, at, ["text", "raw", "url", "data", "metadata", "filename", "mediaType"])?;
    let content = content(at, [text, bytes, url, data]);
    let metadata = metadata.optional(at, scalar::json_object);
    let filename = filename.some_text(at);
    let media_type = media_type.some_text(at);
    Ok(Part {
        content: content?,
        metadata: metadata?,
        filename: filename?,
        media_type: media_type?,
    })
}

/// Exactly one content. `data: null` is a value where it stands alone, and absence beside another content.
fn content(at: &JsonPath<'_>, fields: [Field<'_>; 4]) -> Parsed<Content> {
    let [text, bytes, url, data] = fields;
    let given = fields.iter().filter(|field| field.present().is_some()).count();
    match (given, data.given()) {
        (0, Some(null)) => Ok(Content::Data(scalar::json(null, &at.field(data.name()))?)),
        (0, None) => at.refuse("has no content; set one of text, raw, url and data"),
        (1, _) => {
            let text = text.optional(at, scalar::text)?.map(Content::Text);
            let bytes = bytes.optional(at, scalar::bytes)?.map(|b| Content::Raw(b.into()));
            let url = url.optional(at, scalar::filled_text)?.map(Content::Url);
            let data = data.optional(at, scalar::json)?.map(Content::Data);
            let content = text.or(bytes).or(url).or(data);
            content.map_or_else(|| at.refuse("has no content"), Ok)
        }
        _ => at.refuse("has more than one content; set only one of text, raw, url and data"),
    }
}
