//! Walking over JSON whose grammar has been checked before: that is what a `RawValue` stands for, and parts of one.

use longhaul_domain::scan;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Text of one JSON value, without white space around it: a `RawValue`, or a part of one.
#[derive(Debug, Clone, Copy)]
pub struct RawJson<'a>(&'a str);

impl<'a> From<&'a RawValue> for RawJson<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'a> RawJson<'a> {
    /// The text.
    pub const fn get(self) -> &'a str {
        self.0
    }

    /// The string that it is, copied only where it holds escapes. `None` for another value, and for a string that is
    /// not Unicode.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let text = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if text.contains('\\') {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(text))
        }
    }
}

/// Goes through the members of an object or the elements of an array.
pub(crate) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Starts behind the opening bracket.
    pub const fn inside(raw: RawJson<'a>) -> Self {
        Self { text: raw.0, at: 1 }
    }

    /// The next member: its name, quoted as it stands there, and its value.
    pub fn member(&mut self) -> Option<(RawJson<'a>, RawJson<'a>)> {
        let name = self.element()?;
        // Over the colon.
        self.at = scan::token(self.text.as_bytes(), self.at) + 1;
        Some((name, self.value()?))
    }

    /// The next element.
    pub fn element(&mut self) -> Option<RawJson<'a>> {
        self.at = scan::token(self.text.as_bytes(), self.at);
        if self.text.as_bytes().get(self.at) == Some(&b',') {
            self.at += 1;
        }
        self.value()
    }

    /// The value that comes next; none in front of a closing bracket and at the end of the text.
    fn value(&mut self) -> Option<RawJson<'a>> {
        let text = self.text.as_bytes();
        let start = scan::token(text, self.at);
        self.at = scan::value_end(text, start);
        self.text.get(start..self.at).filter(|text| !text.is_empty()).map(RawJson)
    }
}
