//! JSON tree that keeps duplicate names, member order and token spelling.

use longhaul_wire::raw::{JsonPath, RawJson, Violations, elements, members};
use serde_json::value::RawValue;

#[derive(Debug, Clone)]
pub enum JsonTree {
    /// Token: a quoted string, a number or a literal.
    Token(String),
    Array(Vec<JsonTree>),
    /// Members with quoted names.
    Object(Vec<(String, JsonTree)>),
}

impl JsonTree {
    pub fn parse(raw: &RawValue) -> Self {
        Self::read(raw.into())
    }

    fn read(raw: RawJson<'_>) -> Self {
        let sink = Violations::default();
        let at = JsonPath::root(&sink);
        match raw.get().as_bytes() {
            [b'[', ..] => {
                let mut list = Vec::new();
                let _ = elements(raw, &at, |_, element| list.push(Self::read(element)));
                Self::Array(list)
            }
            [b'{', ..] => {
                let mut list = Vec::new();
                let _ = members(raw, &at, |name, value| {
                    let name = serde_json::to_string(name).expect("text is JSON");
                    list.push((name, Self::read(value)));
                });
                Self::Object(list)
            }
            _ => Self::Token(raw.get().to_owned()),
        }
    }

    /// Number of values, including this one.
    pub fn size(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Array(list) => 1 + list.iter().map(Self::size).sum::<usize>(),
            Self::Object(list) => 1 + list.iter().map(|(_, value)| value.size()).sum::<usize>(),
        }
    }

    /// Value at a preorder position.
    pub fn at(&mut self, place: usize) -> &mut Self {
        let mut left = place;
        self.find(&mut left).expect("a place in the tree")
    }

    fn find(&mut self, left: &mut usize) -> Option<&mut Self> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        match self {
            Self::Token(_) => None,
            Self::Array(list) => list.iter_mut().find_map(|value| value.find(left)),
            Self::Object(list) => list.iter_mut().find_map(|(_, value)| value.find(left)),
        }
    }

    /// Writes the text with occasional whitespace between tokens.
    pub fn write(&self, text: &mut String, white: &mut impl FnMut() -> &'static str) {
        text.push_str(white());
        match self {
            Self::Token(token) => text.push_str(token),
            Self::Array(list) => {
                text.push('[');
                for (index, value) in list.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    value.write(text, white);
                }
                text.push(']');
            }
            Self::Object(list) => {
                text.push('{');
                for (index, (name, value)) in list.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(name);
                    text.push_str(white());
                    text.push(':');
                    value.write(text, white);
                }
                text.push('}');
            }
        }
        text.push_str(white());
    }
}
