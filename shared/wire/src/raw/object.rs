//! Object members and array elements. Names match in camelCase and `snake_case`; unknown members
//! are ignored, and the last of duplicate names wins.

use super::{JsonPath, JsonWalker, Parsed, RawJson, scalar};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// Reads the members with these camelCase names, in the given order. Names may also be written in
/// `snake_case`. Other members are ignored; the last of duplicate names wins.
pub fn object<'a, const N: usize>(
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
    names: [&'static str; N],
) -> Parsed<[JsonField<'a>; N]> {
    let mut fields = names.map(JsonField::absent);
    members(raw, at, |name, value| {
        if let Some(field) = fields.iter_mut().find(|f| same_name(name, f.name())) {
            field.set(value);
        }
    })?;
    Ok(fields)
}

/// Visits every member of an object in order, including null ones.
pub fn members<'a>(
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
    mut each: impl FnMut(&str, RawJson<'a>),
) -> Parsed<()> {
    if !raw.get().starts_with('{') {
        return at.refuse("must be a JSON object");
    }
    let mut walk = JsonWalker::inside(raw);
    while let Some((name, value)) = walk.member() {
        match name.string() {
            Some(name) => each(&name, value),
            None => return at.refuse("holds a member name that is not valid Unicode"),
        }
    }
    Ok(())
}

/// Visits every element of an array with its index.
pub fn elements<'a>(
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
    mut each: impl FnMut(usize, RawJson<'a>),
) -> Parsed<()> {
    if !raw.get().starts_with('[') {
        return at.refuse("must be a JSON array");
    }
    let mut walk = JsonWalker::inside(raw);
    let mut index = 0;
    while let Some(value) = walk.element() {
        each(index, value);
        index += 1;
    }
    Ok(())
}

/// Compares a name with a camelCase name and its `snake_case` form.
pub(crate) fn same_name(given: &str, camel: &str) -> bool {
    if given == camel {
        return true;
    }
    // Rejects most names cheaply: both spellings start with the same letter.
    if given.as_bytes().first() != camel.as_bytes().first() {
        return false;
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

/// One member of an object, present or not.
#[derive(Debug, Clone, Copy)]
pub struct JsonField<'a> {
    name: &'static str,
    value: Option<RawJson<'a>>,
}

impl<'a> JsonField<'a> {
    const fn absent(name: &'static str) -> Self {
        Self { name, value: None }
    }
    /// Creates a field from a value that was not read by [`object`].
    pub fn new(name: &'static str, value: Option<&'a RawValue>) -> Self {
        Self { name, value: value.map(RawJson::from) }
    }
    const fn set(&mut self, value: RawJson<'a>) {
        self.value = Some(value);
    }
    /// Name in camelCase.
    pub const fn name(&self) -> &'static str {
        self.name
    }
    /// Value, even if `null`.
    pub const fn given(&self) -> Option<RawJson<'a>> {
        self.value
    }
    /// Value, unless `null`.
    pub fn present(&self) -> Option<RawJson<'a>> {
        self.value.filter(|raw| raw.get() != "null")
    }

    /// Reads the value if present.
    pub fn optional<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl FnOnce(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        self.present().map(|raw| read(raw, &at.field(self.name))).transpose()
    }

    /// Reads the value; a missing one is a violation.
    pub fn required<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl FnOnce(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<T> {
        match self.present() {
            Some(raw) => read(raw, &at.field(self.name)),
            None => at.field(self.name).refuse("is required"),
        }
    }

    /// Reads every element of an array, so that all violations are found; missing means empty.
    pub fn list<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl Fn(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let at = at.field(self.name);
        let Some(raw) = self.present() else { return Ok(Vec::new()) };
        let mut list = Ok(Vec::new());
        elements(raw, &at, |index, raw| {
            // Surplus elements are counted but not read, so their cost stays small.
            if at.skip_if_full() {
                return;
            }
            match (read(raw, &at.index(index)), &mut list) {
                (Ok(value), Ok(values)) => values.push(value),
                (Ok(_), Err(_)) => {}
                // Reading continues, since later elements may hold further violations.
                (Err(bad), list) => *list = Err(bad),
            }
        })?;
        list
    }

    /// Reads every member of a map; missing means empty. Null members count as absent.
    pub fn map<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl Fn(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<BTreeMap<String, T>> {
        let at = at.field(self.name);
        let Some(raw) = self.present() else { return Ok(BTreeMap::new()) };
        let mut map = Ok(BTreeMap::new());
        members(raw, &at, |name, raw| {
            if raw.get() == "null" || at.skip_if_full() {
                return;
            }
            match (read(raw, &at.field(name)), &mut map) {
                (Ok(value), Ok(values)) => drop(values.insert(name.to_owned(), value)),
                (Ok(_), Err(_)) => {}
                (Err(bad), map) => *map = Err(bad),
            }
        })?;
        map
    }

    /// Reads a boolean; missing means `false`.
    pub fn flag(&self, at: &JsonPath<'_>) -> Parsed<bool> {
        Ok(self.optional(at, scalar::boolean)?.unwrap_or_default())
    }

    /// Reads a string; missing means empty.
    pub fn text(&self, at: &JsonPath<'_>) -> Parsed<String> {
        Ok(self.optional(at, scalar::text)?.unwrap_or_default())
    }

    /// Reads a string; an empty one counts as absent, as in `ProtoJSON` for fields without
    /// presence.
    pub fn optional_text(&self, at: &JsonPath<'_>) -> Parsed<Option<String>> {
        Ok(self.optional(at, scalar::text)?.filter(|text| !text.is_empty()))
    }
}

/// Reads the members of an unchecked text's outermost object, in one pass that also checks the
/// grammar. Names match as in [`object`]. `None` if the text is not a JSON object or has a name
/// that is not Unicode.
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
        while let Some(MemberName(name)) = map.next_key()? {
            let value = map.next_value()?;
            if let Some(index) = self.0.iter().position(|camel| same_name(&name, camel)) {
                // The last of duplicate names wins.
                members[index] = Some(value);
            }
        }
        Ok(members)
    }
}

/// Name that is copied only if it holds escapes.
struct MemberName<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for MemberName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = MemberName<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<MemberName<'de>, E> {
                Ok(MemberName(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<MemberName<'de>, E> {
                Ok(MemberName(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_name_has_exactly_two_spellings() {
        for given in ["contextId", "context_id"] {
            assert!(same_name(given, "contextId"), "{given}");
        }
        for given in ["contextid", "context_Id", "context_id_", "context", "ContextId", ""] {
            assert!(!same_name(given, "contextId"), "{given}");
        }
        assert!(same_name("oauth2_metadata_url", "oauth2MetadataUrl"));
    }
}
