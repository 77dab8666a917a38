//! JSON as a tree that keeps what a map would lose: names given twice, their order, and every token as it was spelled.

use longhaul_wire::raw::{JsonPath, RawJson, Violations, elements, members};
use serde_json::value::RawValue;

#[derive(Debug, Clone)]
pub enum Tree {
    /// A token: a string with its quotes, a number, or a word.
    Token(String),
    Array(Vec<Tree>),
    /// Names with their quotes.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    pub fn of(raw: &RawValue) -> Self {
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

    /// How many values it holds, itself among them.
    pub fn size(&self) -> usize {
        match self {
            Self::Token(_) => 1,
            Self::Array(list) => 1 + list.iter().map(Self::size).sum::<usize>(),
            Self::Object(list) => 1 + list.iter().map(|(_, value)| value.size()).sum::<usize>(),
        }
    }

    /// The value at a place, counted from the outermost on.
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

    /// Its text, with white space between tokens now and then.
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
