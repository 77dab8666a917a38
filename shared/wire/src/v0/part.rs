//! Part of a message or artifact. Only files have a name and a media type: those of other parts are not written.

use super::{Cx, FileEncoding, LegacyForm, V0, content};
use crate::{
    raw::{Field, JsonPath, Parsed, RawJson, object, scalar},
    write::{Base64, Members},
};
use longhaul_domain::{Content, JsonObject, Part};
use serde::{Serialize, Serializer, ser::Error};

impl Serialize for V0<'_, Part> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (form, part) = (self.cx.form, self.value);
        let mut members = Members::open(serializer)?;
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
                members.put("file", &File(self.cx, part))?;
            }
            Content::Data(json) => {
                tag("data")?;
                let wrapped = content::wrap(json, part.metadata.as_ref());
                match form {
                    LegacyForm::V0_3Proto => {
                        members.put("data", &Struct { data: &wrapped.data })?;
                    }
                    LegacyForm::V0_3 | LegacyForm::V0_1 => members.put("data", &wrapped.data)?,
                }
                members.maybe("metadata", wrapped.metadata)?;
                return members.close();
            }
            Content::Blob(blob) => {
                return Err(S::Error::custom(format_args!("blob {} is kept apart", blob.hash)));
            }
        }
        members.maybe("metadata", part.metadata.as_ref())?;
        members.close()
    }
}

#[derive(Serialize)]
struct Struct<'a> {
    data: &'a longhaul_domain::Json,
}

struct File<'a>(Cx<'a>, &'a Part);

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (bytes, uri, encoded) = match self.0.form {
            LegacyForm::V0_3Proto => ("fileWithBytes", "fileWithUri", self.0.files),
            LegacyForm::V0_3 | LegacyForm::V0_1 => ("bytes", "uri", FileEncoding::Once),
        };
        let mut members = Members::open(serializer)?;
        match &self.1.content {
            Content::Raw(content) => members.put(bytes, &Base64(&encoded.field(content)))?,
            Content::Url(url) => members.put(uri, url)?,
            Content::Text(_) | Content::Data(_) | Content::Blob(_) => {}
        }
        members.maybe("mimeType", self.1.media_type.as_ref())?;
        members.maybe("name", self.1.filename.as_ref())?;
        members.close()
    }
}

/// The members of a part by which its content is told, in every form and in 1.0.
struct Contents<'a> {
    text: Field<'a>,
    file: Field<'a>,
    data: Field<'a>,
    bytes: Field<'a>,
    url: Field<'a>,
}

pub(super) fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Part> {
    let [kind, tag, text, file, data, bytes, url, metadata] =
        object(raw, at, ["kind", "type", "text", "file", "data", "raw", "url", "metadata"])?;
    let [filename, media_type, name, mime_type] =
        object(raw, at, ["filename", "mediaType", "name", "mimeType"])?;
    let tag = if kind.present().is_some() { kind } else { tag };
    let contents = Contents { text, file, data, bytes, url };
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
            let (data, metadata) = content::unwrap(data, metadata);
            (Part { content: Content::Data(data), ..part }, metadata)
        }
        _ => (part, metadata),
    }
}

fn either(at: &JsonPath<'_>, first: &Field<'_>, second: &Field<'_>) -> Parsed<Option<String>> {
    match first.some_text(at)? {
        Some(text) => Ok(Some(text)),
        None => second.some_text(at),
    }
}

impl Contents<'_> {
    /// Exactly one content; a tag, where there is one, must name it.
    fn read(&self, form: LegacyForm, at: &JsonPath<'_>, tag: Field<'_>) -> Parsed<Part> {
        let given = [&self.text, &self.file, &self.data, &self.bytes, &self.url];
        let count = given.iter().filter(|field| field.present().is_some()).count();
        if count > 1 {
            return at.refuse("has more than one content; set only one of text, file and data");
        }
        let named = tag.optional(at, scalar::text)?;
        match named.as_deref() {
            Some("text") => self.text.required(at, scalar::text).map(Part::text),
            // A tag is not of ProtoJSON, so what has one is not in the shape of ProtoJSON either.
            Some("data") => self.data(LegacyForm::V0_3, at),
            Some("file") if self.file.present().is_none() && count == 1 => self.of_v1(at),
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
        if self.data.present().is_some() { self.data(form, at) } else { self.of_v1(at) }
    }

    /// In `ProtoJSON` the data stand in an object of their own. `null` is a value here.
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

    /// A file as 1.0 writes it.
    fn of_v1(&self, at: &JsonPath<'_>) -> Parsed<Part> {
        let bytes = self.bytes.optional(at, scalar::bytes)?;
        let url = self.url.optional(at, scalar::filled_text)?;
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
            let first = uri.optional(at, scalar::filled_text)?;
            let uri = first.or(proto_uri.optional(at, scalar::filled_text)?);
            let content = bytes.map(|b| Content::Raw(b.into())).or(uri.map(Content::Url));
            content.map_or_else(|| at.refuse("has no content"), Ok)
        }
        _ => at.refuse("has more than one content; set either its bytes or its URI"),
    };
    let filename = either(at, &name, &filename);
    let media_type = either(at, &mime_type, &media_type);
    Ok(Part { filename: filename?, media_type: media_type?, ..Part::new(content?) })
}
