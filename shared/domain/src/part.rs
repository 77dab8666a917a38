//! Parts of messages and artifacts: exactly one content each, with its description (A2A 4.1.6).

use crate::{BlobRef, Json, JsonObject};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

/// The content of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Bytes of a file.
    Raw(Bytes),
    /// The URL of a file.
    Url(String),
    /// Any JSON value.
    Data(Json),
    /// Large text, bytes or JSON in a blob, read on demand.
    Blob(BlobRef),
}

/// A part of a message or artifact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PartRecord")]
pub struct Part {
    /// The content.
    pub content: Content,
    /// Further data, not interpreted here.
    pub metadata: Option<JsonObject>,
    /// The file name.
    pub filename: Option<String>,
    /// The media type, such as `application/pdf`.
    pub media_type: Option<String>,
}

impl Part {
    /// Creates a part of this content, without further attributes.
    pub const fn new(content: Content) -> Self {
        Self { content, metadata: None, filename: None, media_type: None }
    }
    /// Creates a part of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }
    /// Creates a part of a JSON value.
    pub const fn data(data: Json) -> Self {
        Self::new(Content::Data(data))
    }
    /// Creates a part of bytes with a media type.
    pub fn raw(bytes: impl Into<Bytes>, media_type: impl Into<String>) -> Self {
        Self { media_type: Some(media_type.into()), ..Self::new(Content::Raw(bytes.into())) }
    }
    /// Creates a part that refers to a file by URL.
    pub fn url(url: impl Into<String>) -> Self {
        Self::new(Content::Url(url.into()))
    }
    /// The inline text: of a text part, or of a file with a text media type and UTF-8 bytes.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Raw(bytes) if self.is_text_file() => {
                // The byte order mark that some editors write is not part of the text.
                let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
                std::str::from_utf8(bytes).ok()
            }
            _ => None,
        }
    }
    /// Tells whether the media type is one of text, and names no other charset than UTF-8.
    fn is_text_file(&self) -> bool {
        let Some(media_type) = self.media_type.as_deref() else { return false };
        let mut pieces = media_type.split(';').map(str::trim);
        let essence = pieces.next().unwrap_or_default().to_ascii_lowercase();
        // Quoted or not, in any case: `charset="UTF-8"` is common.
        let charset = pieces.find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            name.eq_ignore_ascii_case("charset")
                .then(|| value.trim_matches('"').to_ascii_lowercase())
        });
        let is_utf8 = |charset: &String| ["utf-8", "utf8", "us-ascii"].contains(&charset.as_str());
        let is_text = essence.starts_with("text/")
            || essence.ends_with("+json")
            || essence.ends_with("+xml")
            || TEXT_APPLICATIONS.contains(&essence.as_str());
        is_text && charset.as_ref().is_none_or(is_utf8)
    }
    /// Bytes of the inline content; 0 for one in a blob.
    pub fn inline_len(&self) -> usize {
        self.content.inline_len()
    }

    /// The reference, when the content is in a blob.
    pub const fn blob(&self) -> Option<&BlobRef> {
        self.content.blob()
    }
}

impl Content {
    /// The reference, when the content is in a blob.
    pub const fn blob(&self) -> Option<&BlobRef> {
        match self {
            Self::Blob(blob) => Some(blob),
            _ => None,
        }
    }

    /// Bytes of the inline content; 0 for one in a blob.
    pub fn inline_len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Url(text) => text.len(),
            Self::Raw(bytes) => bytes.len(),
            Self::Data(json) => json.as_str().len(),
            Self::Blob(_) => 0,
        }
    }
}

/// Media types of text that do not begin with `text/`.
const TEXT_APPLICATIONS: [&str; 9] = [
    "application/json",
    "application/javascript",
    "application/jsonl",
    "application/sql",
    "application/toml",
    "application/x-ndjson",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
];

/// The stored form of a part, readable in SQL. Exactly one of the first five members is set.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartRecord {
    text: Option<String>,
    raw: Option<String>,
    url: Option<String>,
    #[serde(deserialize_with = "keep_null")]
    data: Option<Json>,
    blob: Option<BlobRef>,
    metadata: Option<JsonObject>,
    filename: Option<String>,
    media_type: Option<String>,
}

/// Reads `null` as a value; `Option` would read it as absent.
fn keep_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Writes the form that [`PartRecord`] reads, without copying the part.
impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_map(None)?;
        match &self.content {
            Content::Text(text) => record.serialize_entry("text", text)?,
            Content::Raw(bytes) => record.serialize_entry("raw", &STANDARD.encode(bytes))?,
            Content::Url(url) => record.serialize_entry("url", url)?,
            Content::Data(json) => record.serialize_entry("data", json)?,
            Content::Blob(blob) => record.serialize_entry("blob", blob)?,
        }
        if let Some(metadata) = &self.metadata {
            record.serialize_entry("metadata", metadata)?;
        }
        for (name, text) in [("filename", &self.filename), ("mediaType", &self.media_type)] {
            if let Some(text) = text {
                record.serialize_entry(name, text)?;
            }
        }
        record.end()
    }
}

impl TryFrom<PartRecord> for Part {
    type Error = String;
    fn try_from(record: PartRecord) -> Result<Self, String> {
        let content = match (record.text, record.raw, record.url, record.data, record.blob) {
            (Some(text), None, None, None, None) => Content::Text(text),
            (None, Some(raw), None, None, None) => {
                Content::Raw(STANDARD.decode(raw).map_err(|e| format!("part.raw: {e}"))?.into())
            }
            (None, None, Some(url), None, None) => Content::Url(url),
            (None, None, None, Some(json), None) => Content::Data(json),
            (None, None, None, None, Some(blob)) => Content::Blob(blob),
            _ => return Err("a stored part must hold exactly one content".to_owned()),
        };
        Ok(Self {
            content,
            metadata: record.metadata,
            filename: record.filename,
            media_type: record.media_type,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(part: &Part) -> String {
        let text = serde_json::to_string(part).unwrap();
        assert_eq!(&serde_json::from_str::<Part>(&text).unwrap(), part);
        text
    }

    #[test]
    fn every_content_survives_storage() {
        assert_eq!(round_trip(&Part::text("hé")), r#"{"text":"hé"}"#);
        assert_eq!(
            round_trip(&Part::raw(vec![0u8, 255], "image/png")),
            r#"{"raw":"AP8=","mediaType":"image/png"}"#
        );
        assert_eq!(round_trip(&Part::url("https://a")), r#"{"url":"https://a"}"#);
        for json in ["null", "1.0", "12345678901234567890", r#"{"b":1,"a":[]}"#] {
            assert_eq!(
                round_trip(&Part::data(Json::parse(json).unwrap())),
                format!(r#"{{"data":{json}}}"#)
            );
        }
    }

    #[test]
    fn text_files_in_utf_8_count_as_text() {
        let file = |bytes: &[u8], media_type: &str| Part::raw(bytes.to_vec(), media_type);
        for (part, text) in [
            (Part::text("hé"), Some("hé")),
            (file("hé".as_bytes(), "text/plain"), Some("hé")),
            (file("\u{feff}a".as_bytes(), "Text/CSV; charset=\"UTF-8\""), Some("a")),
            (file(b"{}", "application/ld+json"), Some("{}")),
            (file(b"a: 1", "application/yaml"), Some("a: 1")),
            (file(b"h\xe9", "text/plain"), None),
            (file(b"a", "text/plain; charset=iso-8859-1"), None),
            (file(b"a", "application/pdf"), None),
            (Part { media_type: None, ..file(b"a", "") }, None),
        ] {
            assert_eq!(part.as_text(), text, "{part:?}");
        }
    }

    #[test]
    fn a_stored_part_with_two_contents_is_an_error() {
        assert!(serde_json::from_str::<Part>(r#"{"text":"a","url":"b"}"#).is_err());
        assert!(serde_json::from_str::<Part>("{}").is_err());
    }
}
