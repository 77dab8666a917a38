//! What is asked of a message before it is decoded. A part of two bytes takes sixty times as much once it is a value, so a body within
//! its limit could still take more than a node has: parts are counted first, in one pass over the bytes that holds nothing.

use longhaul_wire::{Dialect, ProtocolError};
use prost::{
    bytes::Buf,
    encoding::{WireType, decode_key, decode_varint},
};

/// Most parts of one message.
pub const MAX_PARTS: usize = 50_000;

/// The number of the parts in a message, in both packages.
const PARTS: u32 = 5;

/// Refuses a request to send a message that has too many parts. Any other request passes, and so do bytes that are no request:
/// decoding refuses those.
pub fn check_send(dialect: Dialect, request: &[u8]) -> Result<(), ProtocolError> {
    let (message, path) = match dialect {
        Dialect::V1_0 => (2, "message.parts"),
        Dialect::V0_3 | Dialect::V0_3Proto | Dialect::V0_1 => (1, "message.content"),
    };
    let messages = Fields(request).filter(|(number, _)| *number == message);
    let parts = messages.flat_map(|(_, bytes)| Fields(bytes)).filter(|(n, _)| *n == PARTS).count();
    if parts > MAX_PARTS {
        return Err(ProtocolError::invalid(path, format!("must not be more than {MAX_PARTS}")));
    }
    Ok(())
}

/// The fields of a message that have a length, until its end or to where it is broken. What stands in a group, which no message has
/// any more, counts too.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, kind) = decode_key(&mut self.0).ok()?;
            let width = match kind {
                WireType::Varint => {
                    decode_varint(&mut self.0).ok()?;
                    continue;
                }
                WireType::StartGroup | WireType::EndGroup => continue,
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                WireType::LengthDelimited => {
                    usize::try_from(decode_varint(&mut self.0).ok()?).ok()?
                }
            };
            let bytes = self.0.get(..width)?;
            self.0.advance(width);
            if kind == WireType::LengthDelimited {
                return Some((number, bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::{v0, v1};
    use prost::Message;

    fn new(parts: usize) -> Vec<u8> {
        let message =
            v1::Message { parts: vec![v1::Part::default(); parts], ..v1::Message::default() };
        let tenant = "t".to_owned();
        v1::SendMessageRequest { message: Some(message), tenant, ..Default::default() }
            .encode_to_vec()
    }

    #[test]
    fn too_many_parts_are_counted_however_they_are_put() {
        assert_eq!(check_send(Dialect::V1_0, &new(MAX_PARTS)), Ok(()));
        assert!(check_send(Dialect::V1_0, &new(MAX_PARTS + 1)).is_err());
        // In two pieces, which a decoder puts together; behind a group, which it passes over.
        let pieces = [new(MAX_PARTS), new(1)].concat();
        assert!(check_send(Dialect::V1_0, &pieces).is_err());
        let behind = [vec![0x7b, 0x7c], new(MAX_PARTS + 1)].concat();
        assert!(check_send(Dialect::V1_0, &behind).is_err());
        assert!(v1::SendMessageRequest::decode(behind.as_slice()).is_ok());
    }

    #[test]
    fn the_older_package_has_its_own_numbers() {
        let content = vec![v0::Part::default(); MAX_PARTS + 1];
        let request = Some(v0::Message { content, ..v0::Message::default() });
        let bytes = v0::SendMessageRequest { request, ..Default::default() }.encode_to_vec();
        assert!(check_send(Dialect::V0_3Proto, &bytes).is_err());
    }

    #[test]
    fn bytes_that_are_no_message_pass() {
        for bytes in [&[][..], &[0xff; 30], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(check_send(Dialect::V1_0, bytes), Ok(()));
        }
    }
}
