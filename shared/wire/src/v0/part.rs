//! Parts before 1.0. Only files have a name and a media type; those of other parts are omitted.
//!
//! A data part holds an object. Any other value is wrapped as the only member `value` of an object,
//! and a marker in the part's metadata says so. Official implementations of both versions convert
//! the same way.

use super::{FileEncoding, LegacyForm, V0, WriteContext};
use crate::{
    metadata::{with_member, without_member},
    raw::{JsonField, JsonPath, Parsed, RawJson, object, scalar},
    write::{Base64, ObjectWriter},
};
use longhaul_domain::{Content, Json, JsonObject, Part};
use serde::{Serialize, Serializer, ser::Error};
use std::borrow::Cow;

impl Serialize for V0<'_, Part> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (form, part) = (self.cx.form, self.value);
        let mut members = ObjectWriter::open(serializer)?;
        // The tag is `kind` in 0.3 and `type` in 0.1.
        let mut tag = |kind: &str| match form {
            LegacyForm::V0_3 => members.put("kind", kind),
            LegacyForm::V0_1 => members.put("type", kind),
            LegacyForm::V0_3Proto => Ok(()),
        };
        match &part.content {
            Content::Text(text) => {
                tag("text")?;
                members.put("text", text)?;
            }
            Content::Raw(_) | Content::Url(_) => {
                tag("file")?;
                members.put("file", &FileBody(self.cx, part))?;
            }
            Content::Data(json) => {
                tag("data")?;
                let wrapped = wrap_data(json, part.metadata.as_ref());
                match form {
                    LegacyForm::V0_3Proto => {
                        members.put("data", &DataStruct { data: &wrapped.data })?;
                    }
                    LegacyForm::V0_3 | LegacyForm::V0_1 => members.put("data", &wrapped.data)?,
                }
                members.put_some("metadata", wrapped.metadata)?;
                return members.close();
            }
            Content::Blob(blob) => {
                return Err(S::Error::custom(format_args!("blob {} is not inline", blob.hash)));
            }
        }
        members.put_some("metadata", part.metadata.as_ref())?;
        members.close()
    }
}

#[derive(Serialize)]
struct DataStruct<'a> {
    data: &'a longhaul_domain::Json,
}

struct FileBody<'a>(WriteContext<'a>, &'a Part);

impl Serialize for FileBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (bytes, uri, encoded) = match self.0.form {
            LegacyForm::V0_3Proto => ("fileWithBytes", "fileWithUri", self.0.files),
            LegacyForm::V0_3 | LegacyForm::V0_1 => ("bytes", "uri", FileEncoding::Once),
        };
        let mut members = ObjectWriter::open(serializer)?;
        match &self.1.content {
            Content::Raw(content) => members.put(bytes, &Base64(&encoded.encode(content)))?,
            Content::Url(url) => members.put(uri, url)?,
            Content::Text(_) | Content::Data(_) | Content::Blob(_) => {}
        }
        members.put_some("mimeType", self.1.media_type.as_ref())?;
        members.put_some("name", self.1.filename.as_ref())?;
        members.close()
    }
}

/// Members that identify the content of a part, in every form and in 1.0.
struct ContentFields<'a> {
    text: JsonField<'a>,
    file: JsonField<'a>,
    data: JsonField<'a>,
    bytes: JsonField<'a>,
    url: JsonField<'a>,
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Part> {
    let [kind, tag, text, file, data, bytes, url, metadata] =
        object(raw, at, ["kind", "type", "text", "file", "data", "raw", "url", "metadata"])?;
    let [filename, media_type, name, mime_type] =
        object(raw, at, ["filename", "mediaType", "name", "mimeType"])?;
    let tag = if kind.present().is_some() { kind } else { tag };
    let contents = ContentFields { text, file, data, bytes, url };
    let part = contents.read(form, at, tag);
    let metadata = metadata.optional(at, scalar::json_object);
    let filename = either(at, &filename, &name);
    let media_type = either(at, &media_type, &mime_type);
    let (part, metadata) = with_metadata(part?, metadata?);
    Ok(Part {
        metadata,
        filename: part.filename.or(filename?),
        media_type: part.media_type.or(media_type?),
        content: part.content,
    })
}

fn with_metadata(part: Part, metadata: Option<JsonObject>) -> (Part, Option<JsonObject>) {
    match part.content {
        Content::Data(data) => {
            let (data, metadata) = unwrap_data(data, metadata);
            (Part { content: Content::Data(data), ..part }, metadata)
        }
        _ => (part, metadata),
    }
}

fn either(
    at: &JsonPath<'_>,
    first: &JsonField<'_>,
    second: &JsonField<'_>,
) -> Parsed<Option<String>> {
    match first.optional_text(at)? {
        Some(text) => Ok(Some(text)),
        None => second.optional_text(at),
    }
}

impl ContentFields<'_> {
    /// Reads exactly one content; a tag, if present, must name it.
    fn read(&self, form: LegacyForm, at: &JsonPath<'_>, tag: JsonField<'_>) -> Parsed<Part> {
        let given = [&self.text, &self.file, &self.data, &self.bytes, &self.url];
        let count = given.iter().filter(|field| field.present().is_some()).count();
        if count > 1 {
            return at.refuse("has more than one content; set only one of text, file and data");
        }
        let named = tag.optional(at, scalar::text)?;
        match named.as_deref() {
            Some("text") => self.text.required(at, scalar::text).map(Part::text),
            // `ProtoJSON` has no tags, so a tagged part has the JSON shape.
            Some("data") => self.data(LegacyForm::V0_3, at),
            // Some clients tag the file shape of 1.0.
            Some("file") if self.file.present().is_none() && count == 1 => self.read_v1_file(at),
            Some("file") => self.file.required(at, read_file),
            Some(_) => at.field(tag.name()).refuse("must be text, file or data"),
            None if count == 0 && self.data.given().is_some() => self.data(form, at),
            None if count == 0 => at.refuse("has no content; set one of text, file and data"),
            None => self.untagged(form, at),
        }
    }

    fn untagged(&self, form: LegacyForm, at: &JsonPath<'_>) -> Parsed<Part> {
        if self.text.present().is_some() {
            return self.text.required(at, scalar::text).map(Part::text);
        }
        if self.file.present().is_some() {
            return self.file.required(at, read_file);
        }
        if self.data.present().is_some() { self.data(form, at) } else { self.read_v1_file(at) }
    }

    /// Reads data. `ProtoJSON` nests it in an object. `null` is a value.
    fn data(&self, form: LegacyForm, at: &JsonPath<'_>) -> Parsed<Part> {
        let Some(raw) = self.data.given() else {
            return at.field(self.data.name()).refuse("is required");
        };
        let at = at.field(self.data.name());
        if form != LegacyForm::V0_3Proto {
            return scalar::json(raw, &at).map(Part::data);
        }
        let [inner] = object(raw, &at, ["data"])?;
        match inner.given() {
            Some(raw) => scalar::json(raw, &at.field(inner.name())).map(Part::data),
            None => at.field(inner.name()).refuse("is required"),
        }
    }

    /// Reads a file in the shape of 1.0.
    fn read_v1_file(&self, at: &JsonPath<'_>) -> Parsed<Part> {
        let bytes = self.bytes.optional(at, scalar::bytes)?;
        let url = self.url.optional(at, scalar::non_empty_text)?;
        let content = bytes.map(|b| Content::Raw(b.into())).or(url.map(Content::Url));
        match content {
            Some(content) => Ok(Part::new(content)),
            None => at.field(self.file.name()).refuse("is required"),
        }
    }
}

fn read_file(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Part> {
    let [bytes, proto_bytes, uri, proto_uri] =
        object(raw, at, ["bytes", "fileWithBytes", "uri", "fileWithUri"])?;
    let [name, filename, mime_type, media_type] =
        object(raw, at, ["name", "filename", "mimeType", "mediaType"])?;
    let given = [&bytes, &proto_bytes, &uri, &proto_uri];
    let content = match given.iter().filter(|field| field.present().is_some()).count() {
        0 => at.refuse("has no content; set its bytes or its URI"),
        1 => {
            let first = bytes.optional(at, scalar::bytes)?;
            let bytes = first.or(proto_bytes.optional(at, scalar::bytes)?);
            let first = uri.optional(at, scalar::non_empty_text)?;
            let uri = first.or(proto_uri.optional(at, scalar::non_empty_text)?);
            let content = bytes.map(|b| Content::Raw(b.into())).or(uri.map(Content::Url));
            content.map_or_else(|| at.refuse("has no content"), Ok)
        }
        _ => at.refuse("has more than one content; set either its bytes or its URI"),
    };
    let filename = either(at, &name, &filename);
    let media_type = either(at, &mime_type, &media_type);
    Ok(Part { filename: filename?, media_type: media_type?, ..Part::new(content?) })
}

/// Metadata member that marks wrapped data.
const WRAPPED_MARKER: &str = "data_part_compat";
const VALUE_MEMBER: &str = "value";

/// Data and metadata of a part, ready to write.
struct WrappedData<'a> {
    data: Cow<'a, Json>,
    metadata: Option<Cow<'a, JsonObject>>,
}

/// Wraps a value into an object, unless it is one.
fn wrap_data<'a>(data: &'a Json, metadata: Option<&'a JsonObject>) -> WrappedData<'a> {
    let plain = WrappedData { data: Cow::Borrowed(data), metadata: metadata.map(Cow::Borrowed) };
    if data.as_str().starts_with('{') {
        return plain;
    }
    let object = Json::parse(&format!("{{\"{VALUE_MEMBER}\":{}}}", data.as_str()));
    match (object, with_member(metadata, WRAPPED_MARKER, "true")) {
        (Ok(object), Some(marked)) => {
            WrappedData { data: Cow::Owned(object), metadata: Some(Cow::Owned(marked)) }
        }
        // Wrapping would exceed the depth limit, so the value is written as it is.
        _ => plain,
    }
}

/// Unwraps marked data and removes the marker; other data stays as it is.
fn unwrap_data(data: Json, metadata: Option<JsonObject>) -> (Json, Option<JsonObject>) {
    let marked = metadata
        .as_ref()
        .and_then(|metadata| metadata.get(WRAPPED_MARKER))
        .is_some_and(|mark| mark.as_str() == "true");
    // Unmarked objects with a `value` member are the author's own.
    if !marked {
        return (data, metadata);
    }
    match only_value(&data) {
        Some(value) => (value, metadata.as_ref().and_then(|m| without_member(m, WRAPPED_MARKER))),
        None => (data, metadata),
    }
}

fn only_value(data: &Json) -> Option<Json> {
    let mut members = JsonObject::new(data.clone()).ok()?.members().ok()?;
    let value = members.remove(VALUE_MEMBER)?;
    members.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_data_survives_byte_for_byte() {
        let metadata = JsonObject::parse(r#"{"z":1.0,"a":null}"#).unwrap();
        for text in ["null", "[1,1.0]", "12345678901234567890", r#""s""#] {
            for metadata in [None, Some(&metadata)] {
                let data = Json::parse(text).unwrap();
                let wrapped = wrap_data(&data, metadata);
                assert_eq!(wrapped.data.as_str(), format!(r#"{{"value":{text}}}"#));
                let back =
                    unwrap_data(wrapped.data.into_owned(), wrapped.metadata.map(Cow::into_owned));
                assert_eq!(back, (data, metadata.cloned()));
            }
        }
    }

    #[test]
    fn unmarked_data_is_not_unwrapped() {
        let mark = JsonObject::parse(r#"{"data_part_compat":true}"#).unwrap();
        let two = Json::parse(r#"{"value":1,"other":2}"#).unwrap();
        assert_eq!(unwrap_data(two.clone(), Some(mark.clone())), (two.clone(), Some(mark)));
        assert_eq!(unwrap_data(two.clone(), None), (two, None));
    }
}
