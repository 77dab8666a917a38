//! Reading raw JSON text, one object level at a time: no tree is built, values are borrowed slices of the input, and
//! an object costs memory only for the members that its reader asks for, however wide it is.
//!
//! Everything that is wrong is recorded with its path, so a client sees all of it in one answer.

mod at;
mod field;
pub mod scalar;

pub use at::{At, Bad, MAX_VIOLATIONS, Read, Violation, Violations};
pub use field::Field;

use longhaul_domain::json;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Reads a whole value. Gives every violation found, in reading order, at most [`MAX_VIOLATIONS`].
pub fn read_root<T>(
    raw: &RawValue,
    read: impl FnOnce(&RawValue, &At<'_>) -> Read<T>,
) -> Result<T, Vec<Violation>> {
    let sink = Violations::default();
    let at = At::root(&sink);
    let value = read(raw, &at);
    if sink.is_empty()
        && let Err(error) = json::check(raw.get().as_bytes())
    {
        // What the reader did not look at is held to the same bounds as what it kept.
        let _: Read<()> = at.refuse(error.to_string());
    }
    match value {
        Ok(value) if sink.is_empty() => Ok(value),
        _ => Err(sink.into_list()),
    }
}

/// Reads an object's members of these camelCase names, in the given order; they may also be written in `snake_case`.
/// Other members are ignored; of a name given twice the last one counts.
pub fn object<'a, const N: usize>(
    raw: &'a RawValue,
    at: &At<'_>,
    names: [&'static str; N],
) -> Read<[Field<'a>; N]> {
    if !raw.get().starts_with('{') {
        return at.refuse("must be a JSON object");
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    match deserializer.deserialize_map(ObjectVisitor(names)) {
        Ok(fields) => Ok(fields),
        Err(_) => at.refuse("holds a member name that is not valid Unicode"),
    }
}

/// Visits every member of an object, in order, also those that are null.
pub fn members<'a>(
    raw: &'a RawValue,
    at: &At<'_>,
    each: impl FnMut(&str, &'a RawValue),
) -> Read<()> {
    if !raw.get().starts_with('{') {
        return at.refuse("must be a JSON object");
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    match deserializer.deserialize_map(MembersVisitor(each)) {
        Ok(()) => Ok(()),
        Err(_) => at.refuse("holds a member name that is not valid Unicode"),
    }
}

/// Visits every element of an array with its index.
pub fn elements<'a>(
    raw: &'a RawValue,
    at: &At<'_>,
    each: impl FnMut(usize, &'a RawValue),
) -> Read<()> {
    if !raw.get().starts_with('[') {
        return at.refuse("must be a JSON array");
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    match deserializer.deserialize_seq(ElementsVisitor(each)) {
        Ok(()) => Ok(()),
        Err(_) => at.refuse("is not a valid JSON array"),
    }
}

/// Whether a member's name is this camelCase name, or the `snake_case` form of it.
fn same_name(given: &str, camel: &str) -> bool {
    if given == camel {
        return true;
    }
    let mut given = given.bytes();
    let matches = camel.bytes().all(|wanted| {
        if wanted.is_ascii_uppercase() {
            given.next() == Some(b'_') && given.next() == Some(wanted.to_ascii_lowercase())
        } else {
            given.next() == Some(wanted)
        }
    });
    matches && given.next().is_none()
}

/// Text that is borrowed unless it holds escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

struct ObjectVisitor<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for ObjectVisitor<N> {
    type Value = [Field<'de>; N];
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = self.0.map(Field::absent);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            let value = map.next_value::<&'de RawValue>()?;
            if let Some(field) = fields.iter_mut().find(|f| same_name(&name.0, f.name())) {
                field.set(value);
            }
        }
        Ok(fields)
    }
}

struct MembersVisitor<F>(F);

impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for MembersVisitor<F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'de>>()? {
            (self.0)(&name.0, map.next_value::<&'de RawValue>()?);
        }
        Ok(())
    }
}

struct ElementsVisitor<F>(F);

impl<'de, F: FnMut(usize, &'de RawValue)> Visitor<'de> for ElementsVisitor<F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            (self.0)(index, value);
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::same_name;

    #[test]
    fn a_name_has_two_spellings_and_no_third() {
        for given in ["contextId", "context_id"] {
            assert!(same_name(given, "contextId"), "{given}");
        }
        for given in ["contextid", "context_Id", "context_id_", "context", "ContextId", ""] {
            assert!(!same_name(given, "contextId"), "{given}");
        }
        assert!(same_name("oauth2_metadata_url", "oauth2MetadataUrl"));
    }
}
