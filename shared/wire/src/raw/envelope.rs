//! The outermost object of a text that nobody has looked at: one pass checks the whole grammar and finds the members.

use super::same_name;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// The members of these camelCase names, in the given order, as [`object`](super::object) reads them. `None` when the
/// text is not a JSON object, or holds a name that is not Unicode.
pub fn envelope<'a, const N: usize>(
    text: &'a str,
    names: [&'static str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(EnvelopeVisitor(names)).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

struct EnvelopeVisitor<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for EnvelopeVisitor<N> {
    type Value = [Option<&'de RawValue>; N];
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = [None; N];
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value()?;
            if let Some(place) = self.0.iter().position(|camel| same_name(&name, camel)) {
                members[place] = Some(value);
            }
        }
        Ok(members)
    }
}

/// Text that is copied only where it holds escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
