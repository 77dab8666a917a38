//! JSON values kept as text, so that they round-trip: integers over 2^53, `1.0` versus `1`, nulls
//! and the order of members survive. Only white space between tokens is dropped, so that a value
//! fits one line of an event stream.

use crate::scan;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

/// Maximum nesting of objects and arrays.
pub const MAX_JSON_DEPTH: usize = 64;

/// The error of a JSON text that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("is not valid JSON: {0}")]
    Syntax(String),
    /// The value is not an object.
    #[error("must be a JSON object")]
    NotObject,
    /// The value nests deeper than [`MAX_JSON_DEPTH`].
    #[error("is nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// A string holds U+0000.
    #[error("contains the character U+0000; remove it")]
    Nul,
    /// A string holds half of a surrogate pair.
    #[error("contains a lone surrogate escape; strings must be valid Unicode")]
    LoneSurrogate,
}

/// A JSON value, kept as text.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Parses one JSON value.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        check(text.as_bytes())?;
        Self::parse_checked(text)
    }

    /// Parses one JSON value without calling [`check`]: the text, or a larger one around it, has
    /// passed it.
    pub fn parse_checked(text: &str) -> Result<Self, JsonError> {
        let raw =
            RawValue::from_string(text.to_owned()).map_err(|e| JsonError::Syntax(e.to_string()))?;
        Ok(Self::compacted(raw))
    }

    /// Serializes a value.
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, JsonError> {
        let text = serde_json::to_string(value).map_err(|e| JsonError::Syntax(e.to_string()))?;
        Self::parse(&text)
    }

    /// The text, on one line.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Tells whether objects and arrays nest deeper than `depth` levels.
    pub fn is_deeper_than(&self, depth: usize) -> bool {
        // A value of n levels has 2n brackets.
        self.as_str().len() > 2 * depth && exceeds_depth(self.as_str().as_bytes(), depth)
    }

    /// Deserializes the value.
    pub fn to<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        serde_json::from_str(self.as_str()).map_err(|e| JsonError::Syntax(e.to_string()))
    }

    fn compacted(raw: Box<RawValue>) -> Self {
        // Most values are compact already and are kept without a copy.
        let compact = match compact(raw.get()) {
            Cow::Borrowed(_) => raw,
            // Dropping white space between tokens keeps JSON valid; fall back to the original
            // rather than panic.
            Cow::Owned(text) => RawValue::from_string(text).unwrap_or(raw),
        };
        Self(Arc::from(compact))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        check(raw.get().as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self::compacted(raw))
    }
}

/// A JSON object, kept as text; A2A's `Struct`, the type of metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct JsonObject(Json);

impl JsonObject {
    /// Converts a value that is an object.
    pub fn new(json: Json) -> Result<Self, JsonError> {
        if json.as_str().starts_with('{') { Ok(Self(json)) } else { Err(JsonError::NotObject) }
    }
    /// Parses an object.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Self::new(Json::parse(text)?)
    }
    /// Parses an object without calling [`check`]: the text has passed it.
    pub fn parse_checked(text: &str) -> Result<Self, JsonError> {
        Self::new(Json::parse_checked(text)?)
    }
    /// Creates an object of these members, ordered by name.
    pub fn from_members(members: &BTreeMap<String, Json>) -> Result<Self, JsonError> {
        Self::new(Json::from_serialize(members)?)
    }
    /// The text, on one line.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
    /// The value.
    pub fn as_json(&self) -> &Json {
        &self.0
    }
    /// The members by name; of duplicate names the last one counts.
    pub fn members(&self) -> Result<BTreeMap<String, Json>, JsonError> {
        self.0.to()
    }
    /// One member, found without parsing the others; of duplicate names the last one counts.
    pub fn get(&self, name: &str) -> Option<Json> {
        let mut deserializer = serde_json::Deserializer::from_str(self.as_str());
        let member = deserializer.deserialize_map(MemberVisitor(name)).ok()??;
        Json::parse_checked(member.get()).ok()
    }
}

struct MemberVisitor<'a>(&'a str);

impl<'de> Visitor<'de> for MemberVisitor<'_> {
    type Value = Option<&'de RawValue>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<MemberName<'de>>()? {
            let value = map.next_value()?;
            if name.0 == self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

/// The name of a member, copied only when it holds escapes.
#[derive(Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Rejects text that stores cannot keep, before it is parsed. One pass over the bytes, no
/// recursion. The grammar is left to the parser.
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = check_string(text, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                // Checked first, so that no reader of the value has to recurse deeper.
                if depth > MAX_JSON_DEPTH {
                    return Err(JsonError::TooDeep);
                }
                at += 1;
            }
            b'}' | b']' => {
                // Unbalanced brackets are left to the parser.
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Tells whether a JSON text nests deeper than `limit` levels. One pass, no recursion.
pub fn exceeds_depth(text: &[u8], limit: usize) -> bool {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = scan::string_end(text, at + 1),
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    false
}

/// Checks one string from after its opening quote; returns the position after the closing one.
fn check_string(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    loop {
        at = scan::quote_or_backslash(text, at);
        match (text.get(at), text.get(at + 1)) {
            (None, _) => return Ok(at),
            // The closing quote; anything else here is a backslash.
            (Some(b'"'), _) => return Ok(at + 1),
            (_, Some(b'u')) => match unicode_escape(text, at) {
                Some(0) => return Err(JsonError::Nul),
                // A low surrogate without a high one before it.
                Some(0xDC00..=0xDFFF) => return Err(JsonError::LoneSurrogate),
                Some(0xD800..=0xDBFF) => {
                    // A high surrogate needs a low one as the very next escape.
                    if !matches!(unicode_escape(text, at + 6), Some(0xDC00..=0xDFFF)) {
                        return Err(JsonError::LoneSurrogate);
                    }
                    at += 12;
                }
                // An ordinary `\uXXXX`.
                Some(_) => at += 6,
                // Malformed hexadecimal: the parser rejects it with a position.
                None => at += 2,
            },
            // Any other escape has two bytes, so an escaped quote does not end the string.
            _ => at += 2,
        }
    }
}

/// The code unit of the `\uXXXX` escape at `at`.
fn unicode_escape(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Drops white space between tokens.
fn compact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    // Text from `copied` on is not in `out` yet.
    let (bytes, mut copied, mut at) = (text.as_bytes(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        // Skip strings: white space in them is content.
        if *byte == b'"' {
            at = scan::string_end(bytes, at + 1);
        } else if scan::is_json_whitespace(*byte) {
            if copied == 0 {
                out.reserve(text.len());
            }
            // JSON white space is ASCII, so both positions are character boundaries.
            out.push_str(&text[copied..at]);
            copied = scan::next_token(bytes, at);
            at = copied;
        } else {
            at += 1;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_round_trips_byte_for_byte() {
        let text = r#"{"b":1.0,"a":12345678901234567890123,"n":null,"e":1e999999,"a":[[],{}]}"#;
        assert_eq!(Json::parse(text).unwrap().as_str(), text);
    }

    #[test]
    fn white_space_is_dropped_between_tokens_and_kept_in_strings() {
        let json = Json::parse("{ \"a b\" :\n [ 1 , \"x \\\" y\\\\\" ] }").unwrap();
        assert_eq!(json.as_str(), r#"{"a b":[1,"x \" y\\"]}"#);
    }

    #[test]
    fn the_last_of_duplicate_names_counts() {
        let object = JsonObject::parse(r#"{"a":1,"\u0061":[2,"a b"],"b":null}"#).unwrap();
        assert_eq!(object.get("a").unwrap().as_str(), r#"[2,"a b"]"#);
        assert_eq!(object.get("b").unwrap().as_str(), "null");
        assert_eq!(object.get("c"), None);
        assert_eq!(object.members().unwrap().len(), 2);
    }

    #[test]
    fn text_that_stores_cannot_keep_is_rejected() {
        assert_eq!(Json::parse(r#""\u0000""#), Err(JsonError::Nul));
        assert_eq!(Json::parse(r#""\ud800""#), Err(JsonError::LoneSurrogate));
        assert_eq!(Json::parse(r#""\udc00\ud800""#), Err(JsonError::LoneSurrogate));
        assert!(Json::parse(r#""\ud83d\ude00 \\u0000""#).is_ok());
        assert_eq!(Json::parse(&"[".repeat(65)), Err(JsonError::TooDeep));
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(Json::parse(&deep).is_ok());
        assert!(matches!(Json::parse("{"), Err(JsonError::Syntax(_))));
        assert_eq!(JsonObject::parse("[1]"), Err(JsonError::NotObject));
    }

    proptest! {
        #[test]
        fn checking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
        }

        #[test]
        fn compacting_keeps_the_value(text in "[ \\t\\n\"\\\\a-z{}:,\\[\\]0-9]{0,60}") {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                let kept: serde_json::Value = Json::parse(&text).unwrap().to().unwrap();
                prop_assert_eq!(kept, value);
            }
        }
    }
}
