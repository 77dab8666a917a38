//! Readers for raw JSON, one object level at a time. No tree is built, values are borrowed slices,
//! and an object costs memory only for the members that its reader asks for. Every violation is
//! recorded with its path, so one response can list all of them.

mod json;
mod object;
mod path;
pub mod scalar;

pub(crate) use json::JsonWalker;
pub use json::RawJson;
pub(crate) use object::same_name;
pub use object::{JsonField, elements, envelope, members, object};
pub use path::{Invalid, JsonPath, MAX_VIOLATIONS, Parsed, Violation, Violations, shortened};

use longhaul_domain::json::check;

/// Reads a whole value. Fails with the violations in reading order: at most [`MAX_VIOLATIONS`],
/// plus one that counts the rest.
pub fn read_root<'a, T>(
    raw: impl Into<RawJson<'a>>,
    read: impl FnOnce(RawJson<'a>, &JsonPath<'_>) -> Parsed<T>,
) -> Result<T, Vec<Violation>> {
    let raw = raw.into();
    read_text(raw.get().as_bytes(), |at| read(raw, at))
}

/// Reads parts of a text. Unread parts must satisfy the same limits as read ones.
pub fn read_text<T>(
    text: &[u8],
    read: impl FnOnce(&JsonPath<'_>) -> Parsed<T>,
) -> Result<T, Vec<Violation>> {
    // One check of the whole text; parts that are kept verbatim need none of their own.
    let checked = check(text);
    let sink = if checked.is_ok() { Violations::for_checked_text() } else { Violations::default() };
    let at = JsonPath::root(&sink);
    let value = read(&at);
    // A reader's violation has a path, while the check only knows the whole text.
    if sink.is_empty()
        && let Err(error) = checked
    {
        let _: Parsed<()> = at.refuse(error.to_string());
    }
    match value {
        // A reader may record violations and still return a value.
        Ok(value) if sink.is_empty() => Ok(value),
        _ => Err(sink.into_list()),
    }
}
