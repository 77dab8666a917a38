//! JSON that comes back as it came: integers over 2^53, `1.0` beside `1`, nulls, nesting and the order of members
//! survive, because the text is kept and never turned into numbers. Only white space between tokens is dropped, so
//! that a value fits one line of an event stream.

use crate::scan;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

/// Deepest nesting of objects and arrays that is accepted.
pub const MAX_JSON_DEPTH: usize = 64;

/// Why a JSON text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("is not valid JSON: {0}")]
    Syntax(String),
    /// An object was needed.
    #[error("must be a JSON object")]
    NotObject,
    /// Nested deeper than [`MAX_JSON_DEPTH`].
    #[error("is nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// A string holds U+0000.
    #[error("contains the character U+0000; remove it")]
    Nul,
    /// A string holds half of a surrogate pair.
    #[error("contains a lone surrogate escape; strings must be valid Unicode")]
    LoneSurrogate,
}

/// Any JSON value, kept as text.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Reads one JSON value from text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        check(text.as_bytes())?;
        Self::parse_checked(text)
    }

    /// Reads one JSON value from text that [`check`] has passed, as part of a larger text perhaps: it is not asked again.
    pub fn parse_checked(text: &str) -> Result<Self, JsonError> {
        let raw =
            RawValue::from_string(text.to_owned()).map_err(|e| JsonError::Syntax(e.to_string()))?;
        Ok(Self::compacted(raw))
    }

    /// Writes a value as JSON.
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, JsonError> {
        let text = serde_json::to_string(value).map_err(|e| JsonError::Syntax(e.to_string()))?;
        Self::parse(&text)
    }

    /// The text, on one line.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether objects and arrays are nested deeper than this.
    pub fn is_deeper_than(&self, depth: usize) -> bool {
        // A value of n levels has 2n brackets.
        self.as_str().len() > 2 * depth && exceeds_depth(self.as_str().as_bytes(), depth)
    }

    /// Reads the value into a type.
    pub fn to<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        serde_json::from_str(self.as_str()).map_err(|e| JsonError::Syntax(e.to_string()))
    }

    fn compacted(raw: Box<RawValue>) -> Self {
        let compact = match compact(raw.get()) {
            Cow::Borrowed(_) => raw,
            // Dropping white space between tokens cannot make valid JSON invalid; were it to, the original stands.
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

/// A JSON object, kept as text: what A2A calls a `Struct` (metadata).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct JsonObject(Json);

impl JsonObject {
    /// Takes a value that is an object.
    pub fn new(json: Json) -> Result<Self, JsonError> {
        if json.as_str().starts_with('{') { Ok(Self(json)) } else { Err(JsonError::NotObject) }
    }
    /// Reads an object from text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Self::new(Json::parse(text)?)
    }
    /// Reads an object from text that [`check`] has passed: it is not asked again.
    pub fn parse_checked(text: &str) -> Result<Self, JsonError> {
        Self::new(Json::parse_checked(text)?)
    }
    /// An object of the given members, in the order of their names.
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
    /// The members by name; of a name given twice the last one counts.
    pub fn members(&self) -> Result<BTreeMap<String, Json>, JsonError> {
        self.0.to()
    }
    /// One member; of a name given twice the last one counts. The others are passed over.
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
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let value = map.next_value()?;
            if name.0 == self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

/// A member's name, copied only where it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Refuses what cannot be kept, before anything is parsed: one pass over the bytes, no recursion. It does not check
/// the grammar; what is not JSON passes here and is refused by the parser.
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = check_string(text, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Err(JsonError::TooDeep);
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
    Ok(())
}

/// Whether a JSON text is nested deeper than this: one pass, no recursion.
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

/// Checks one string from behind its opening quote; gives the place behind the closing one.
fn check_string(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    loop {
        at = scan::quote_or_backslash(text, at);
        match (text.get(at), text.get(at + 1)) {
            (None, _) => return Ok(at),
            (Some(b'"'), _) => return Ok(at + 1),
            (_, Some(b'u')) => match escape(text, at) {
                Some(0) => return Err(JsonError::Nul),
                Some(0xDC00..=0xDFFF) => return Err(JsonError::LoneSurrogate),
                Some(0xD800..=0xDBFF) => {
                    if !matches!(escape(text, at + 6), Some(0xDC00..=0xDFFF)) {
                        return Err(JsonError::LoneSurrogate);
                    }
                    at += 12;
                }
                Some(_) => at += 6,
                None => at += 2,
            },
            _ => at += 2,
        }
    }
}

/// The code unit of a `\uXXXX` escape that starts at `at`.
fn escape(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Drops white space between tokens.
fn compact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (bytes, mut kept, mut at) = (text.as_bytes(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'"' {
            at = scan::string_end(bytes, at + 1);
        } else if scan::is_json_whitespace(*byte) {
            if kept == 0 {
                out.reserve(text.len());
            }
            // White space is a character of its own in UTF-8, so both places are between characters.
            out.push_str(&text[kept..at]);
            kept = scan::token(bytes, at);
            at = kept;
        } else {
            at += 1;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_comes_back_as_it_came() {
        let text = r#"{"b":1.0,"a":12345678901234567890123,"n":null,"e":1e999999,"a":[[],{}]}"#;
        assert_eq!(Json::parse(text).unwrap().as_str(), text);
    }

    #[test]
    fn white_space_between_tokens_goes_and_in_strings_stays() {
        let json = Json::parse("{ \"a b\" :\n [ 1 , \"x \\\" y\\\\\" ] }").unwrap();
        assert_eq!(json.as_str(), r#"{"a b":[1,"x \" y\\"]}"#);
    }

    #[test]
    fn of_a_name_given_twice_the_last_one_counts() {
        let object = JsonObject::parse(r#"{"a":1,"\u0061":[2,"a b"],"b":null}"#).unwrap();
        assert_eq!(object.get("a").unwrap().as_str(), r#"[2,"a b"]"#);
        assert_eq!(object.get("b").unwrap().as_str(), "null");
        assert_eq!(object.get("c"), None);
        assert_eq!(object.members().unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
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
        fn compacting_keeps_the_meaning(text in "[ \\t\\n\"\\\\a-z{}:,\\[\\]0-9]{0,60}") {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                let kept: serde_json::Value = Json::parse(&text).unwrap().to().unwrap();
                prop_assert_eq!(kept, value);
            }
        }
    }
}
