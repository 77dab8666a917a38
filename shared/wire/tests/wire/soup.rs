//! Nothing that comes from outside makes a reader panic: bytes of any kind, and what was valid until somebody cut it.

use crate::{every, fuzz::GOLDENS};
use proptest::prelude::*;
use serde_json::value::RawValue;

proptest! {
    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(&bytes) {
            every::value(&raw);
        }
        every::body(&bytes);
        let mut body = br#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":"#.to_vec();
        body.extend(&bytes);
        body.push(b'}');
        every::body(&body);
    }

    #[test]
    fn valid_texts_cut_and_mixed(
        which in any::<prop::sample::Index>(),
        soup in r#"[\{\}\[\]:,"a-z0-9\\u .-]{0,40}"#,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let whole = which.get(GOLDENS.as_slice());
        let cut = whole.floor_char_boundary(cut.index(whole.len()));
        let at = whole.floor_char_boundary(at.index(whole.len()));
        let mixed = format!("{}{soup}{}", &whole[..cut.min(at)], &whole[cut.max(at)..]);
        every::body(mixed.as_bytes());
        if let Ok(raw) = RawValue::from_string(mixed) {
            every::value(&raw);
        }
    }
}
