//! Where in a value the reader is, and what it found wrong.
//!
//! A path is a chain of borrowed steps on the stack: it costs nothing until something is wrong.

use crate::dialect::shortened;
use std::{
    cell::{Cell, RefCell},
    fmt,
};

/// Most violations that one answer lists. Where there is more to say, one more says how much.
pub const MAX_VIOLATIONS: usize = 16;

/// Something that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where, as in `message.parts[0].text`.
    pub field: String,
    /// What to do about it.
    pub description: String,
}

impl Violation {
    /// A violation at a place.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Says that something was wrong and has been recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Result of reading: the value, or the knowledge that violations are recorded.
pub type Parsed<T> = Result<T, Invalid>;

/// Collects violations, at most [`MAX_VIOLATIONS`]; later ones are only counted.
#[derive(Debug, Default)]
pub struct Violations {
    found: RefCell<Vec<Violation>>,
    left_out: Cell<usize>,
    checked: bool,
}

impl Violations {
    /// For a text that [`json::check`](longhaul_domain::json::check) has passed, so that no part of it need be asked again.
    pub fn of_checked() -> Self {
        Self { checked: true, ..Self::default() }
    }
    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }
    /// Whether looking further is of no use.
    pub fn is_full(&self) -> bool {
        self.found.borrow().len() >= MAX_VIOLATIONS
    }
    /// What was found, and last how much is left out of the list.
    pub fn into_list(self) -> Vec<Violation> {
        let mut list = self.found.into_inner();
        let left_out = self.left_out.get();
        if left_out > 0 {
            let more = format!(
                "holds more that is wrong than is listed: {left_out} more values are wrong or were not looked at"
            );
            list.push(Violation::new(ROOT, more));
        }
        list
    }
    fn add(&self, violation: impl FnOnce() -> Violation) {
        if self.is_full() {
            self.leave_out();
        } else {
            self.found.borrow_mut().push(violation());
        }
    }
    fn leave_out(&self) {
        self.left_out.set(self.left_out.get().saturating_add(1));
    }
}

/// How the whole value is called.
const ROOT: &str = "params";

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

/// A place in a value.
#[derive(Debug, Clone, Copy)]
pub struct JsonPath<'a> {
    parent: Option<&'a JsonPath<'a>>,
    step: Step<'a>,
    sink: &'a Violations,
}

impl<'a> JsonPath<'a> {
    /// The whole value.
    pub const fn root(sink: &'a Violations) -> Self {
        Self { parent: None, step: Step::Root, sink }
    }
    /// A member of the object here.
    #[must_use]
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Name(name), sink: self.sink }
    }
    /// An element of the array here.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index), sink: self.sink }
    }
    /// Records what is wrong here.
    pub fn refuse<T>(&self, description: impl Into<String>) -> Parsed<T> {
        self.sink.add(|| Violation::new(self.to_string(), description));
        Err(Invalid)
    }
    /// Whether so much is wrong already that looking further is of no use: then what is here is left out, and counted.
    pub fn leaves_out(&self) -> bool {
        let full = self.sink.is_full();
        if full {
            self.sink.leave_out();
        }
        full
    }
    /// Whether the whole text has passed [`json::check`](longhaul_domain::json::check).
    pub const fn is_checked(&self) -> bool {
        self.sink.checked
    }
    fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }
}

impl fmt::Display for JsonPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let above = self.parent.filter(|parent| !parent.is_root());
        if let Some(parent) = above {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => f.write_str(ROOT),
            // Names that a client chose are as long as it likes.
            Step::Name(name) if above.is_some() => write!(f, ".{}", shortened(name)),
            Step::Name(name) => f.write_str(&shortened(name)),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_one_would_write_it() {
        let sink = Violations::default();
        let root = JsonPath::root(&sink);
        assert_eq!(root.to_string(), "params");
        let (message, parts) = (root.field("message"), "parts");
        let parts = message.field(parts);
        let first = parts.index(0);
        assert_eq!(first.field("text").to_string(), "message.parts[0].text");
    }

    #[test]
    fn the_list_of_violations_is_bounded() {
        let sink = Violations::default();
        for _ in 0..MAX_VIOLATIONS {
            let _: Parsed<()> = JsonPath::root(&sink).refuse("no");
            assert!(!sink.is_empty());
        }
        let full = Violations::default();
        for _ in 0..MAX_VIOLATIONS + 5 {
            let _: Parsed<()> = JsonPath::root(&full).refuse("no");
        }
        assert_eq!(sink.into_list().len(), MAX_VIOLATIONS);
        let list = full.into_list();
        assert_eq!(list.len(), MAX_VIOLATIONS + 1);
        assert!(list[MAX_VIOLATIONS].description.contains(": 5 more values"), "{list:?}");
    }

    #[test]
    fn a_path_is_short_whatever_a_client_calls_its_members() {
        let sink = Violations::default();
        let (root, name) = (JsonPath::root(&sink), "n".repeat(1_000_000));
        let (outer, inner) = (root.field(&name), "x");
        assert!(outer.to_string().len() < 100);
        assert!(outer.field(inner).to_string().ends_with("….x"));
    }
}
