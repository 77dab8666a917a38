//! A part of a message or artifact: exactly one content, and what describes it (A2A 4.1.6).

use crate::{
    BlobRef, BlobSlot, Json, JsonObject,
    blob::REFERENCE_BYTES,
    message::{LenOf, has_blob, object_len},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

/// Bytes of a stored part besides its contents, about.
const PART_OVERHEAD: usize = 16;

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Bytes of a file.
    Raw(Bytes),
    /// Where a file is to be had.
    Url(String),
    /// Any JSON value.
    Data(Json),
    /// Text, bytes or JSON that is kept apart because it is large; read when asked for.
    Blob(BlobRef),
}

/// A part: its content and what describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PartRecord")]
pub struct Part {
    /// What it holds.
    pub content: Content,
    /// Anything else about it.
    pub metadata: Option<JsonObject>,
    /// Name of the file.
    pub filename: Option<String>,
    /// Media type, such as `application/pdf`.
    pub media_type: Option<String>,
}

impl Part {
    /// A part of this content, not described further.
    pub const fn new(content: Content) -> Self {
        Self { content, metadata: None, filename: None, media_type: None }
    }
    /// A part of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }
    /// A part of a JSON value.
    pub const fn data(data: Json) -> Self {
        Self::new(Content::Data(data))
    }
    /// A part of bytes with their media type.
    pub fn raw(bytes: impl Into<Bytes>, media_type: impl Into<String>) -> Self {
        Self { media_type: Some(media_type.into()), ..Self::new(Content::Raw(bytes.into())) }
    }
    /// A part that says where a file is to be had.
    pub fn url(url: impl Into<String>) -> Self {
        Self::new(Content::Url(url.into()))
    }
    /// The text, when it is held inline: of a text part, or of a file whose media type says text and whose bytes are UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Raw(bytes) if self.is_text_file() => {
                // Editors put a byte order mark before the text, which is none of it.
                let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
                std::str::from_utf8(bytes).ok()
            }
            _ => None,
        }
    }
    /// Whether the media type is one of text, in UTF-8 as far as it says.
    fn is_text_file(&self) -> bool {
        let Some(media_type) = self.media_type.as_deref() else { return false };
        let mut pieces = media_type.split(';').map(str::trim);
        let essence = pieces.next().unwrap_or_default().to_ascii_lowercase();
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
    /// How many bytes the content takes inline; nothing for one that is kept apart.
    pub fn inline_len(&self) -> usize {
        self.content.inline_len()
    }
    /// About how many bytes it takes in a stored entry; `count` says what a content that can be moved to a blob counts.
    pub(crate) fn stored_len(&self, count: LenOf) -> usize {
        let texts = [&self.filename, &self.media_type].into_iter().flatten().map(String::len);
        let content = match &self.content {
            Content::Url(url) => url.len(),
            Content::Blob(_) => REFERENCE_BYTES,
            other => count(other.inline_len()),
        };
        PART_OVERHEAD + content + object_len(self.metadata.as_ref(), count) + texts.sum::<usize>()
    }
    /// The contents of the part that may be kept apart.
    pub fn blob_slots(&mut self) -> impl Iterator<Item = BlobSlot<'_>> {
        let metadata = self.metadata.as_mut().map(BlobSlot::Metadata);
        std::iter::once(BlobSlot::Content(&mut self.content)).chain(metadata)
    }
    /// Whether its content or its metadata is kept apart.
    pub fn has_blobs(&self) -> bool {
        self.blob().is_some() || has_blob(self.metadata.as_ref())
    }
}

impl Content {
    /// How many bytes it takes inline; nothing when it is kept apart.
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

/// How a part is stored: readable in SQL, exactly one of the first five members set.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartRecord {
    text: Option<String>,
    raw: Option<String>,
    url: Option<String>,
    #[serde(deserialize_with = "present")]
    data: Option<Json>,
    blob: Option<BlobRef>,
    metadata: Option<JsonObject>,
    filename: Option<String>,
    media_type: Option<String>,
}

/// Keeps `null` as a value, where `Option` would read it as absence.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Writes what [`PartRecord`] reads, without copying the part.
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

    fn round(part: &Part) -> String {
        let text = serde_json::to_string(part).unwrap();
        assert_eq!(&serde_json::from_str::<Part>(&text).unwrap(), part);
        text
    }

    #[test]
    fn every_content_survives_storage() {
        assert_eq!(round(&Part::text("hé")), r#"{"text":"hé"}"#);
        assert_eq!(
            round(&Part::raw(vec![0u8, 255], "image/png")),
            r#"{"raw":"AP8=","mediaType":"image/png"}"#
        );
        assert_eq!(round(&Part::url("https://a")), r#"{"url":"https://a"}"#);
        for json in ["null", "1.0", "12345678901234567890", r#"{"b":1,"a":[]}"#] {
            assert_eq!(
                round(&Part::data(Json::parse(json).unwrap())),
                format!(r#"{{"data":{json}}}"#)
            );
        }
    }

    #[test]
    fn text_is_text_however_it_is_sent() {
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
