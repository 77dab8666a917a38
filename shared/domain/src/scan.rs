//! Skips over JSON text without parsing it, eight bytes of a string at a time.
//!
//! The grammar is not checked: positions in text that is not JSON are meaningless. They are always
//! within the text or its end, so no input makes a caller panic.

/// The lowest bit of each byte.
const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
/// The highest bit of each byte.
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);

/// Marks zero bytes by their highest bit. Only the lowest mark is exact; borrows may set bits above
/// it.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// The position of the next quote or backslash from `at` on, or the end of the text.
pub(crate) fn quote_or_backslash(text: &[u8], mut at: usize) -> usize {
    // A word at a time: strings are most of the bytes of a request.
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*bytes);
        let found = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES);
        if found != 0 {
            // Little-endian: the lowest marked byte is the first in the text.
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\')) {
        at += 1;
    }
    at.min(text.len())
}

/// The position after the string whose opening quote is before `at`.
pub fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = quote_or_backslash(text, at);
        match text.get(at) {
            Some(b'"') => return at + 1,
            // A backslash: skip the escaped byte, which may be a quote.
            Some(_) => at += 2,
            None => return text.len(),
        }
    }
}

/// The position of the first token from `at` on, or the end of the text.
pub fn next_token(text: &[u8], mut at: usize) -> usize {
    while text.get(at).copied().is_some_and(is_json_whitespace) {
        at += 1;
    }
    at.min(text.len())
}

/// The position after the value that starts at `at`, without white space after it.
pub fn value_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at + 1),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                // The closing bracket of the enclosing object or array.
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                at += 1;
            }
            // A number or literal ends at the next delimiter.
            _ if depth == 0 => return scalar_end(text, at),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at.min(text.len())
}

/// The position after the number or literal that starts at `at`.
fn scalar_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || is_json_whitespace(*byte);
    rest.iter().position(ends).map_or(text.len(), |length| at + length)
}

/// Tells whether JSON allows this byte between tokens.
pub const fn is_json_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_ends_where_the_next_token_begins() {
        for value in ["1.0e5", "null", r#""a,]}\"\\""#, "[]", r#"{"a":["}",{}],"b":1}"#] {
            for rest in ["", " ", ",1", "]", "}", "\n}"] {
                let text = format!("{value}{rest}");
                assert_eq!(value_end(text.as_bytes(), 0), value.len(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_quote_is_found_at_any_offset(text in "[a\\x01!#\\[\\]é]{0,30}[\"\\\\][a\"]{0,9}") {
           let expected = text.bytes().position(|byte| matches!(byte, b'"' | b'\\')).unwrap();
           for from in 0..=expected {
               prop_assert_eq!(quote_or_backslash(text.as_bytes(), from), expected);
            }
        }

        #[test]
        fn positions_stay_within_the_text(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), from in 0usize..80,
        ) {
            for at in [string_end, next_token, value_end, quote_or_backslash].map(|f| f(&bytes, from)) {
               prop_assert!(at <= bytes.len());
            }
        }
    }
}
