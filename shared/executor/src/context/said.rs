//! What is said: a text, or parts.

use longhaul_domain::Part;

/// The content of a message of the agent: made from a text, a part or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageContent(Vec<Part>);

impl MessageContent {
    pub(crate) fn into_parts(self) -> Vec<Part> {
        self.0
    }
}

impl From<&str> for MessageContent {
    fn from(text: &str) -> Self {
        Self(vec![Part::text(text)])
    }
}
impl From<String> for MessageContent {
    fn from(text: String) -> Self {
        Self(vec![Part::text(text)])
    }
}
impl From<Part> for MessageContent {
    fn from(part: Part) -> Self {
        Self(vec![part])
    }
}
impl From<Vec<Part>> for MessageContent {
    fn from(parts: Vec<Part>) -> Self {
        Self(parts)
    }
}
