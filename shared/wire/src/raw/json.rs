//! Walks over JSON whose grammar has been checked: a `RawValue`, or a part of one.

use longhaul_domain::scan;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Text of one JSON value without surrounding whitespace.
#[derive(Debug, Clone, Copy)]
pub struct RawJson<'a>(&'a str);

impl<'a> From<&'a RawValue> for RawJson<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'a> RawJson<'a> {
    /// Returns the text.
    pub const fn get(self) -> &'a str {
        self.0
    }

    /// String value, copied only if it holds escapes. `None` for other values and for strings that
    /// are not Unicode.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let text = self.0.strip_prefix('"')?.strip_suffix('"')?;
        // Only escapes need decoding; other strings are borrowed.
        if text.contains('\\') {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(text))
        }
    }
}

/// Walks over the members of an object or the elements of an array.
pub(crate) struct JsonWalker<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonWalker<'a> {
    /// Starts after the opening bracket.
    pub const fn inside(raw: RawJson<'a>) -> Self {
        Self { text: raw.0, at: 1 }
    }

    /// Next member: its name, still quoted, and its value.
    pub fn member(&mut self) -> Option<(RawJson<'a>, RawJson<'a>)> {
        let name = self.element()?;
        // Skips the colon.
        self.at = scan::next_token(self.text.as_bytes(), self.at) + 1;
        Some((name, self.value()?))
    }

    /// Next element.
    pub fn element(&mut self) -> Option<RawJson<'a>> {
        self.at = scan::next_token(self.text.as_bytes(), self.at);
        // The first element has no comma before it.
        if self.text.as_bytes().get(self.at) == Some(&b',') {
            self.at += 1;
        }
        self.value()
    }

    /// Next value; `None` before a closing bracket and at the end of the text.
    fn value(&mut self) -> Option<RawJson<'a>> {
        let text = self.text.as_bytes();
        let start = scan::next_token(text, self.at);
        self.at = scan::value_end(text, start);
        // At the end of the text no value is left, and the slice is empty.
        self.text.get(start..self.at).filter(|text| !text.is_empty()).map(RawJson)
    }
}
