//! Keeps what a server sends from steering the terminal that shows it.

use std::fmt::Write;

/// The text with control characters replaced, but for line ends and tabs.
pub fn clean(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || is_direction(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(safe).collect()
}

/// JSON that means the same, with what `clean` replaces as escapes, and marks of direction too: an escape takes nothing away.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Space between tokens, as inside strings JSON has no line ends and tabs.
        if !matches!(c, '\n' | '\r' | '\t') && (c.is_control() || is_direction(c) || is_mark(c)) {
            // A string takes whatever is written.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Characters that have a direction and are not seen.
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
    fn escaped_json_means_the_same_and_steers_nothing() {
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
