//! One member of an object, present or not.

use super::{JsonPath, Parsed, RawJson, elements, members, scalar};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// One member of an object, present or not.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    name: &'static str,
    value: Option<RawJson<'a>>,
}

impl<'a> Field<'a> {
    pub(super) const fn absent(name: &'static str) -> Self {
        Self { name, value: None }
    }
    /// A member that was found, or was not, by other means than [`object`](super::object).
    pub fn new(name: &'static str, value: Option<&'a RawValue>) -> Self {
        Self { name, value: value.map(RawJson::from) }
    }
    pub(super) const fn set(&mut self, value: RawJson<'a>) {
        self.value = Some(value);
    }
    /// Its camelCase name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
    /// The value, also when it is `null`.
    pub const fn given(&self) -> Option<RawJson<'a>> {
        self.value
    }
    /// The value, when there is one other than `null`.
    pub fn present(&self) -> Option<RawJson<'a>> {
        self.value.filter(|raw| raw.get() != "null")
    }

    /// Reads the value if there is one.
    pub fn optional<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl FnOnce(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        self.present().map(|raw| read(raw, &at.field(self.name))).transpose()
    }

    /// Reads the value; without one it is a violation.
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

    /// Reads every element of an array; without one the list is empty. Looks at all elements, so that all
    /// violations are found.
    pub fn list<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl Fn(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let at = at.field(self.name);
        let Some(raw) = self.present() else { return Ok(Vec::new()) };
        let mut list = Ok(Vec::new());
        elements(raw, &at, |index, raw| {
            if at.leaves_out() {
                return;
            }
            match (read(raw, &at.index(index)), &mut list) {
                (Ok(value), Ok(values)) => values.push(value),
                (Ok(_), Err(_)) => {}
                (Err(bad), list) => *list = Err(bad),
            }
        })?;
        list
    }

    /// Reads every member of an object that is a map; without one the map is empty. Members that are `null` are
    /// taken as absent.
    pub fn map<T>(
        &self,
        at: &JsonPath<'_>,
        read: impl Fn(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
    ) -> Parsed<BTreeMap<String, T>> {
        let at = at.field(self.name);
        let Some(raw) = self.present() else { return Ok(BTreeMap::new()) };
        let mut map = Ok(BTreeMap::new());
        members(raw, &at, |name, raw| {
            if raw.get() == "null" || at.leaves_out() {
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

    /// Reads a boolean; without one it is `false`.
    pub fn flag(&self, at: &JsonPath<'_>) -> Parsed<bool> {
        Ok(self.optional(at, scalar::boolean)?.unwrap_or_default())
    }

    /// Reads a string; without one it is empty.
    pub fn text(&self, at: &JsonPath<'_>) -> Parsed<String> {
        Ok(self.optional(at, scalar::text)?.unwrap_or_default())
    }

    /// Reads a string; an empty one is taken as absent, as `ProtoJSON` does for fields without presence.
    pub fn some_text(&self, at: &JsonPath<'_>) -> Parsed<Option<String>> {
        Ok(self.optional(at, scalar::text)?.filter(|text| !text.is_empty()))
    }
}
