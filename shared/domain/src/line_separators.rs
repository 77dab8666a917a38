//! Escapes Unicode line separators in JSON, so that a value is one line for every reader.
//!
//! JSON escapes line feeds and other controls below U+0020 in strings, but not U+0085, U+2028 and
//! U+2029. Python's `str.splitlines` and Node's `readline` split lines there and would cut a value
//! in two.

use memchr::memchr2;

/// The first UTF-8 bytes of the separators.
const SEPARATOR_LEAD_BYTES: (u8, u8) = (0xC2, 0xE2);

/// Escapes U+0085, U+2028 and U+2029. The JSON value stays the same; text without separators is not
/// copied.
pub fn escape_line_separators(json: Vec<u8>) -> Vec<u8> {
    let mut found = next_separator(&json, 0);
    if found.is_none() {
        return json;
    }
    let mut escaped = Vec::with_capacity(json.len() + json.len() / 8);
    let mut copied = 0;
    while let Some((at, length, escape)) = found {
        escaped.extend_from_slice(&json[copied..at]);
        escaped.extend_from_slice(escape);
        copied = at + length;
        found = next_separator(&json, copied);
    }
    escaped.extend_from_slice(&json[copied..]);
    escaped
}

/// The position of the next separator from `from` on, its length in bytes, and its escape.
fn next_separator(json: &[u8], mut from: usize) -> Option<(usize, usize, &'static [u8])> {
    loop {
        // Two leading bytes find all three separators in one vectorized search.
        let rest = json.get(from..)?;
        let at = from + memchr2(SEPARATOR_LEAD_BYTES.0, SEPARATOR_LEAD_BYTES.1, rest)?;
        match json[at..] {
            [0xC2, 0x85, ..] => return Some((at, 2, b"\\u0085")),
            [0xE2, 0x80, 0xA8, ..] => return Some((at, 3, b"\\u2028")),
            [0xE2, 0x80, 0xA9, ..] => return Some((at, 3, b"\\u2029")),
            // Another character with the same first byte, such as `é` or a dash: go on after it.
            _ => from = at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The characters that Python's `str.splitlines` splits at.
    const SPLITLINES_CHARS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];

    #[test]
    fn a_value_without_separators_is_not_copied() {
        let json = "{\"a\":\"b – “c” ¡ …\"}".as_bytes().to_vec();
        let (place, before) = (json.as_ptr(), json.clone());
        let after = escape_line_separators(json);
        assert_eq!((after.as_ptr(), after), (place, before));
    }

    #[test]
    fn names_and_values_are_escaped() {
        let json = "{\"a\u{2028}\":[\"\u{85}b\u{2029}\"]}".as_bytes().to_vec();
        let escaped = String::from_utf8(escape_line_separators(json)).unwrap();
        assert_eq!(escaped, "{\"a\\u2028\":[\"\\u0085b\\u2029\"]}");
    }

    proptest! {
        #[test]
        fn a_value_is_one_line_and_stays_the_same(
            texts in proptest::collection::vec("[\\x00-\\x20\u{80}-\u{a0}\u{2020}-\u{2030}a\"\\\\é\u{202e}😀]{0,12}", 0..5),
        ) {
            let json = serde_json::to_vec(&texts).unwrap();
            let escaped = String::from_utf8(escape_line_separators(json)).unwrap();
            prop_assert!(!escaped.contains(SPLITLINES_CHARS), "{escaped:?}");
            let read: Value = serde_json::from_str(&escaped).unwrap();
            prop_assert_eq!(read, serde_json::to_value(&texts).unwrap());
        }
    }
}
