//! Keeps what a server sends from steering the terminal that shows it.

/// The text with control characters replaced, but for line ends and tabs.
pub fn clean(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || is_direction(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(safe).collect()
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
}
