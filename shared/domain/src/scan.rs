//! Walking over JSON text without reading it: from one string or value to the next, eight bytes of a string at a time.
//!
//! Nothing here checks the grammar. Over what is not JSON the places that it gives are of no use, but they are always
//! places in the text or its end, so no text from outside makes a caller panic.

const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);

/// The lowest bit set marks the first byte that is zero; bits above it may be wrong.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

/// The place of the next quote or backslash from `at` on, or the end of the text.
pub(crate) fn quote_or_backslash(text: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*bytes);
        let found = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\')) {
        at += 1;
    }
    at.min(text.len())
}

/// The place behind the string whose opening quote stands before `at`.
pub fn string_end(text: &[u8], mut at: usize) -> usize {
    loop {
        at = quote_or_backslash(text, at);
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => return text.len(),
        }
    }
}

/// The place of the first token from `at` on, or the end of the text.
pub fn token(text: &[u8], mut at: usize) -> usize {
    while text.get(at).copied().is_some_and(is_json_whitespace) {
        at += 1;
    }
    at.min(text.len())
}

/// The place behind the value that starts at `at`, white space behind it not included.
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
                // Of the object or array around the value.
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                at += 1;
            }
            _ if depth == 0 => return scalar_end(text, at),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at.min(text.len())
}

/// The place behind the number or word that starts at `at`.
fn scalar_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || is_json_whitespace(*byte);
    rest.iter().position(ends).map_or(text.len(), |length| at + length)
}

/// Whether JSON allows this byte between tokens.
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
            for behind in ["", " ", ",1", "]", "}", "\n}"] {
                let text = format!("{value}{behind}");
                assert_eq!(value_end(text.as_bytes(), 0), value.len(), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_quote_is_found_wherever_it_stands(text in "[a\\x01!#\\[\\]é]{0,30}[\"\\\\][a\"]{0,9}") {
            let place = text.bytes().position(|byte| matches!(byte, b'"' | b'\\')).unwrap();
            for from in 0..=place {
                prop_assert_eq!(quote_or_backslash(text.as_bytes(), from), place);
            }
        }

        #[test]
        fn no_text_makes_it_leave_the_text(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), from in 0usize..80,
        ) {
            for place in [string_end, token, value_end, quote_or_backslash].map(|f| f(&bytes, from)) {
                prop_assert!(place <= bytes.len());
            }
        }
    }
}
