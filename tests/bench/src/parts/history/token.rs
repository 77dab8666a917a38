//! A page token deep inside a list, without walking there: the token of the first page with another place in it.
//!
//! Tokens are opaque to clients; this knows how the server writes them, and fails when that changes.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as CODE};
use std::ops::Range;

/// Where the place is in a token: milliseconds of the status, and the task.
const PLACE: Range<usize> = 8..32;

/// The token of the list of `first`, at another place.
pub fn at(first: &str, millis: i64, task: u128) -> String {
    let mut bytes = CODE.decode(first).expect("a token is base64");
    assert_eq!(bytes.len(), 40, "tokens are written in another way now");
    let place = [&millis.to_be_bytes()[..], &task.to_be_bytes()[..]].concat();
    bytes[PLACE].copy_from_slice(&place);
    CODE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{CODE, at};
    use base64::Engine;

    #[test]
    fn a_token_keeps_its_list_and_its_total() {
        let first = CODE.encode([9; 40]);
        let moved = CODE.decode(at(&first, 1, 2)).expect("it is base64");
        assert_eq!((&moved[..8], &moved[32..]), (&[9; 8][..], &[9; 8][..]));
        assert_eq!((moved[15], moved[31]), (1, 2));
    }
}
