//! Cleaning of server text, which must not steer the terminal that shows it.

use std::fmt::Write;

/// Replaces control characters other than line ends and tabs, and characters that change the text
/// direction.
pub fn clean(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || is_direction(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(safe).collect()
}

/// Escapes what [`clean`] replaces, and invisible marks. The JSON means the same.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Line ends and tabs stand between tokens only: JSON strings cannot hold them.
        if !matches!(c, '\n' | '\r' | '\t') && (c.is_control() || is_direction(c) || is_mark(c)) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Invisible characters with a direction, and separators that terminals may take for line ends.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

/// Characters that change the direction of the text around them.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_does_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\tc\r\nd\u{202e}"), "a\u{fffd}[2Jb\tc\nd\u{fffd}");
    }

    #[test]
    fn escaped_json_means_the_same_and_cannot_steer() {
        let value = serde_json::json!({"a\u{9b}2J": ["\u{85}\u{7f}\u{202e}\u{2066}\u{200f}", "ü\n\t\u{1b}\\"]});
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let text = escaped(&json);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
            assert!(
                text.contains(r"a\u009b2J") && text.contains(r"\u0085\u007f\u202e\u2066\u200f"),
                "{text}"
            );
            assert_eq!(clean(&text), text);
            assert!(text.contains('ü'), "{text}");
        }
    }
}
