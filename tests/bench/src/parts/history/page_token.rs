//! Page tokens deep inside a list, made from the token of the first page.
//!
//! Tokens are opaque to clients. This module knows their encoding, and fails when it changes.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as CODE};
use std::ops::Range;

/// Bytes of a token with the position: milliseconds of the status, and task id.
const POSITION_BYTES: Range<usize> = 8..32;

/// The token of `first` moved to another position.
pub fn at(first: &str, millis: i64, task: u128) -> String {
    let mut bytes = CODE.decode(first).expect("a token is base64");
    assert_eq!(bytes.len(), 40, "the encoding of tokens has changed");
    let position = [&millis.to_be_bytes()[..], &task.to_be_bytes()[..]].concat();
    bytes[POSITION_BYTES].copy_from_slice(&position);
    CODE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{CODE, at};
    use base64::Engine;

    #[test]
    fn a_moved_token_keeps_its_list_and_total() {
        let first = CODE.encode([9; 40]);
        let moved = CODE.decode(at(&first, 1, 2)).expect("it is base64");
        assert_eq!((&moved[..8], &moved[32..]), (&[9; 8][..], &[9; 8][..]));
        assert_eq!((moved[15], moved[31]), (1, 2));
    }
}
