//! Reading raw JSON text, one object level at a time: no tree is built, values are borrowed slices of the input, and
//! an object costs memory only for the members that its reader asks for, however wide it is.
//!
//! Everything that is wrong is recorded with its path, so a client sees all of it in one answer.

mod at;
mod envelope;
mod field;
pub mod scalar;
mod walk;

pub use at::{Invalid, JsonPath, MAX_VIOLATIONS, Parsed, Violation, Violations};
pub use envelope::envelope;
pub use field::Field;
pub use walk::RawJson;

use longhaul_domain::json;
pub(crate) use walk::Walk;

/// Reads a whole value. Gives the violations found, in reading order, at most [`MAX_VIOLATIONS`], and one more that says how much is left out.
pub fn read_root<'a, T>(
    raw: impl Into<RawJson<'a>>,
    read: impl FnOnce(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
) -> Result<T, Vec<Violation>> {
    let raw = raw.into();
    read_text(raw.get().as_bytes(), |at| read(raw, at))
}

/// Reads parts of a text. What was not looked at is held to the same bounds as what was.
pub fn read_text<T>(
    text: &[u8],
    read: impl FnOnce(&JsonPath<'_>) -> Parsed<T>,
) -> Result<T, Vec<Violation>> {
    let checked = json::check(text);
    let sink = if checked.is_ok() { Violations::of_checked() } else { Violations::default() };
    let at = JsonPath::root(&sink);
    let value = read(&at);
    if sink.is_empty()
        && let Err(error) = checked
    {
        let _: Parsed<()> = at.refuse(error.to_string());
    }
    match value {
        Ok(value) if sink.is_empty() => Ok(value),
        _ => Err(sink.into_list()),
    }
}

/// Reads an object's members of these camelCase names, in the given order; they may also be written in `snake_case`.
/// Other members are ignored; of a name given twice the last one counts.
pub fn object<'a, const N: usize>(
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
    names: [&'static str; N],
) -> Parsed<[Field<'a>; N]> {
    let mut fields = names.map(Field::absent);
    members(raw, at, |name, value| {
        if let Some(field) = fields.iter_mut().find(|f| same_name(name, f.name())) {
            field.set(value);
        }
    })?;
    Ok(fields)
}

/// Visits every member of an object, in order, also those that are null.
pub fn members<'a>(
    raw: RawJson<'a>,
    at: &JsonPath<'_>,
    mut each: impl FnMut(&str, RawJson<'a>),
) -> Parsed<()> {
    if !raw.get().starts_with('{') {
        return at.refuse("must be a JSON object");
    }
    let mut walk = Walk::inside(raw);
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
    let mut walk = Walk::inside(raw);
    let mut index = 0;
    while let Some(value) = walk.element() {
        each(index, value);
        index += 1;
    }
    Ok(())
}

/// Whether a member's name is this camelCase name, or the `snake_case` form of it.
pub(crate) fn same_name(given: &str, camel: &str) -> bool {
    if given == camel {
        return true;
    }
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
