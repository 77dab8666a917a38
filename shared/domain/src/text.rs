//! Checks of text: U+0000 is rejected, because Postgres cannot store it in `text`.

/// The error of a text that is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text holds U+0000.
    #[error("contains the character U+0000 at byte {at}; remove it")]
    Nul {
        /// Byte offset of the first U+0000.
        at: usize,
    },
    /// The text is too long.
    #[error("is {len} bytes long; at most {max} are allowed")]
    TooLong {
        /// Length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
}

/// Rejects text with U+0000.
pub fn check_text(text: &str) -> Result<(), TextError> {
    match text.find('\0') {
        Some(at) => Err(TextError::Nul { at }),
        None => Ok(()),
    }
}

/// Rejects an identifier that is empty, longer than `max` bytes, or holds U+0000.
pub fn check_identifier(text: &str, max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > max {
        return Err(TextError::TooLong { len: text.len(), max });
    }
    check_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_rejected_with_its_position() {
        assert_eq!(check_text("ab\0c"), Err(TextError::Nul { at: 2 }));
        assert_eq!(check_text("äöü\u{1}"), Ok(()));
    }

    #[test]
    fn identifiers_are_bounded_and_not_empty() {
        assert_eq!(check_identifier("", 3), Err(TextError::Empty));
        assert_eq!(check_identifier("abcd", 3), Err(TextError::TooLong { len: 4, max: 3 }));
        assert_eq!(check_identifier("abc", 3), Ok(()));
    }
}
