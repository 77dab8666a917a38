//! Where in a value the reader is, and what it found wrong.
//!
//! A path is a chain of borrowed steps on the stack: it costs nothing until something is wrong.

use std::{cell::RefCell, fmt};

/// Most violations that one answer lists.
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
pub struct Bad;

/// Result of reading: the value, or the knowledge that violations are recorded.
pub type Read<T> = Result<T, Bad>;

/// Collects violations, at most [`MAX_VIOLATIONS`]; later ones are dropped.
#[derive(Debug, Default)]
pub struct Violations {
    found: RefCell<Vec<Violation>>,
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
    /// What was found.
    pub fn into_list(self) -> Vec<Violation> {
        self.found.into_inner()
    }
    fn add(&self, violation: Violation) {
        let mut list = self.found.borrow_mut();
        if list.len() < MAX_VIOLATIONS {
            list.push(violation);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

/// A place in a value.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
    sink: &'a Violations,
}

impl<'a> At<'a> {
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
    pub fn refuse<T>(&self, description: impl Into<String>) -> Read<T> {
        if !self.sink.is_full() {
            self.sink.add(Violation::new(self.to_string(), description));
        }
        Err(Bad)
    }
    /// Whether so much is wrong already that looking further is of no use.
    pub fn is_full(&self) -> bool {
        self.sink.is_full()
    }
    /// Whether the whole text has passed [`json::check`](longhaul_domain::json::check).
    pub const fn is_checked(&self) -> bool {
        self.sink.checked
    }
    fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let above = self.parent.filter(|parent| !parent.is_root());
        if let Some(parent) = above {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => f.write_str("params"),
            Step::Name(name) if above.is_some() => write!(f, ".{name}"),
            Step::Name(name) => f.write_str(name),
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
        let root = At::root(&sink);
        assert_eq!(root.to_string(), "params");
        let (message, parts) = (root.field("message"), "parts");
        let parts = message.field(parts);
        let first = parts.index(0);
        assert_eq!(first.field("text").to_string(), "message.parts[0].text");
    }

    #[test]
    fn the_list_of_violations_is_bounded() {
        let sink = Violations::default();
        for _ in 0..MAX_VIOLATIONS + 5 {
            let _: Read<()> = At::root(&sink).refuse("no");
        }
        assert_eq!(sink.into_list().len(), MAX_VIOLATIONS);
    }
}
