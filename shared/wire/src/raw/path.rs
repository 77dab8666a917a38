//! Paths into a value and the violations found there. A path is a chain of borrowed steps on the
//! stack and costs nothing until a violation is recorded.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

/// Maximum number of violations in one response; one more counts the rest.
pub const MAX_VIOLATIONS: usize = 16;

/// Invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the value, as in `message.parts[0].text`.
    pub field: String,
    /// Advice on what to change.
    pub description: String,
}

impl Violation {
    /// Creates a violation for a path.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Marker that a violation has been recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Parsed value, or the marker that violations are recorded.
pub type Parsed<T> = Result<T, Invalid>;

/// Collector of violations: keeps [`MAX_VIOLATIONS`] and counts the rest.
#[derive(Debug, Default)]
pub struct Violations {
    // Many paths share one collector, hence the cells.
    found: RefCell<Vec<Violation>>,
    left_out: Cell<usize>,
    checked: bool,
}

impl Violations {
    /// Creates a collector for a text that passed [`json::check`](longhaul_domain::json::check), so
    /// that its parts need no second check.
    pub fn for_checked_text() -> Self {
        Self { checked: true, ..Self::default() }
    }
    /// Tells if nothing is invalid so far.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }
    /// Tells if further violations would only be counted.
    pub fn is_full(&self) -> bool {
        self.found.borrow().len() >= MAX_VIOLATIONS
    }
    /// Returns the violations, and last a count of the omitted ones.
    pub fn into_list(self) -> Vec<Violation> {
        let mut list = self.found.into_inner();
        let left_out = self.left_out.get();
        if left_out > 0 {
            let more = format!(
                "holds more that is wrong than is listed: {left_out} more values are wrong or were not looked at"
            );
            list.push(Violation::new(ROOT_PATH, more));
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

/// Path of the whole value.
const ROOT_PATH: &str = "params";

#[derive(Debug, Clone, Copy)]
enum PathStep<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

/// Path to a value.
#[derive(Debug, Clone, Copy)]
pub struct JsonPath<'a> {
    parent: Option<&'a JsonPath<'a>>,
    step: PathStep<'a>,
    sink: &'a Violations,
}

impl<'a> JsonPath<'a> {
    /// Path of the whole value.
    pub const fn root(sink: &'a Violations) -> Self {
        Self { parent: None, step: PathStep::Root, sink }
    }
    /// Path of a member.
    #[must_use]
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: PathStep::Name(name), sink: self.sink }
    }
    /// Path of an element.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: PathStep::Index(index), sink: self.sink }
    }
    /// Records a violation at this path.
    pub fn refuse<T>(&self, description: impl Into<String>) -> Parsed<T> {
        // The path is formatted only if the violation is kept.
        self.sink.add(|| Violation::new(self.to_string(), description));
        Err(Invalid)
    }
    /// Tells if the collector is full; the value here is then counted as omitted and need not be
    /// read.
    pub fn skip_if_full(&self) -> bool {
        let full = self.sink.is_full();
        if full {
            self.sink.leave_out();
        }
        full
    }
    /// Tells if the whole text passed [`json::check`](longhaul_domain::json::check).
    pub const fn is_checked(&self) -> bool {
        self.sink.checked
    }
    fn is_root(&self) -> bool {
        matches!(self.step, PathStep::Root)
    }
}

impl fmt::Display for JsonPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The root is implied: a path starts with the first member.
        let above = self.parent.filter(|parent| !parent.is_root());
        if let Some(parent) = above {
            parent.fmt(f)?;
        }
        match self.step {
            PathStep::Root => f.write_str(ROOT_PATH),
            // Client-chosen names can be arbitrarily long.
            PathStep::Name(name) if above.is_some() => write!(f, ".{}", shortened(name)),
            PathStep::Name(name) => f.write_str(&shortened(name)),
            PathStep::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Truncates client input for an error message. Control characters become U+FFFD, since response
/// readers refuse U+0000.
pub fn shortened(text: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 64;
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(MAX_SHOWN_CHARS).map(shown).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_with_dots_and_brackets() {
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
    fn a_path_stays_short_with_long_member_names() {
        let sink = Violations::default();
        let (root, name) = (JsonPath::root(&sink), "n".repeat(1_000_000));
        let (outer, inner) = (root.field(&name), "x");
        assert!(outer.to_string().len() < 100);
        assert!(outer.field(inner).to_string().ends_with("….x"));
    }
}
