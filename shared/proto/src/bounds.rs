//! Size limits of a request, checked before decoding. A two-byte element grows many times over once
//! decoded, so a body within its byte limit could still exhaust the node's memory. Elements are
//! counted in one pass over the bytes, without allocating. Elements count as in the JSON dialects:
//! a request is accepted by every binding or by none.

use longhaul_domain::bounds::{
    MAX_DATA_DEPTH, MAX_ELEMENTS, MAX_PARTS, MEMBER_WEIGHT, too_deep, too_many_elements,
    too_many_parts,
};
use longhaul_wire::{Dialect, ProtocolError};
use prost::{
    bytes::Buf,
    encoding::{WireType, decode_key, decode_varint},
};

/// Refuses a request of this method with too many elements. Methods without lists pass, and so do
/// malformed bytes, which decoding refuses.
pub fn check(dialect: Dialect, method: &str, request: &[u8]) -> Result<(), ProtocolError> {
    let is_new = dialect == Dialect::V1_0;
    let (root, path, parts) = match (method, is_new) {
        ("SendMessage" | "SendStreamingMessage", true) => {
            (MessageKind::Send, "message", "message.parts")
        }
        ("SendMessage" | "SendStreamingMessage", false) => {
            (MessageKind::Send, "message", "message.content")
        }
        // Requests of 0.3 to cancel have no metadata.
        ("CancelTask", true) => (MessageKind::Cancel, "metadata", ""),
        ("CreateTaskPushNotificationConfig", false) => (MessageKind::CreatePush, "config", ""),
        // Other requests have no lists.
        _ => return Ok(()),
    };
    let mut count = ElementCounter { is_new, parts: 0, elements: 0 };
    match count.walk(root, request, 0) {
        Ok(()) => Ok(()),
        Err(TooMany::Parts) => Err(ProtocolError::invalid(parts, too_many_parts())),
        Err(TooMany::Elements) => Err(ProtocolError::invalid(path, too_many_elements())),
        Err(TooMany::Levels) => Err(ProtocolError::invalid(path, too_deep())),
    }
}

/// Type of the message in some bytes.
#[derive(Debug, Clone, Copy)]
enum MessageKind {
    Send,
    Cancel,
    CreatePush,
    TaskPush,
    Push,
    Authentication,
    Configuration,
    Message,
    Part,
    DataPart,
    Struct,
    Entry,
    Value,
    List,
    /// String element of a list.
    Text,
}

impl MessageKind {
    /// Type of a field, if the field holds a list or is part of one.
    const fn field(self, number: u32, is_new: bool) -> Option<Self> {
        // Field numbers of the `.proto` files; `is_new` selects the package.
        Some(match (self, number, is_new) {
            (Self::Send, 2, true) | (Self::Send, 1, false) => Self::Message,
            (Self::Send, 3, true) | (Self::Send, 2, false) => Self::Configuration,
            (Self::Send, 4, true)
            | (Self::Send | Self::Cancel, 3, _)
            | (Self::Message, 6, _)
            | (Self::Part, 5, true)
            | (Self::Part, 4, false)
            | (Self::DataPart, 1, _)
            | (Self::Value, 5, _) => Self::Struct,
            (Self::Configuration | Self::Authentication, 1, _)
            | (Self::Message, 7, _)
            | (Self::Message, 8, true) => Self::Text,
            (Self::CreatePush, 3, _) => Self::TaskPush,
            (Self::Configuration | Self::TaskPush, 2, false) => Self::Push,
            (Self::Push, 4, false) => Self::Authentication,
            (Self::Message, 5, _) => Self::Part,
            (Self::Part, 4, true) | (Self::Entry, 2, _) | (Self::List, 1, _) => Self::Value,
            (Self::Part, 3, false) => Self::DataPart,
            (Self::Struct, 1, _) => Self::Entry,
            (Self::Value, 6, _) => Self::List,
            _ => return None,
        })
    }
}

enum TooMany {
    Parts,
    Elements,
    Levels,
}

struct ElementCounter {
    is_new: bool,
    parts: usize,
    elements: usize,
}

impl ElementCounter {
    /// Counts the elements of a message that is nested `depth` objects and lists deep.
    fn walk(&mut self, kind: MessageKind, bytes: &[u8], depth: usize) -> Result<(), TooMany> {
        // Only objects and lists count as levels, as in JSON.
        let depth = depth + usize::from(matches!(kind, MessageKind::Struct | MessageKind::List));
        // Decoders stop at a hundred nested messages with an error that would not help the client.
        if depth > MAX_DATA_DEPTH {
            return Err(TooMany::Levels);
        }
        for (number, bytes) in LengthDelimitedFields(bytes) {
            let Some(inner) = kind.field(number, self.is_new) else { continue };
            match (kind, inner) {
                (_, MessageKind::Part) => self.parts += 1,
                (_, MessageKind::Entry | MessageKind::Text) => self.elements += MEMBER_WEIGHT,
                (MessageKind::List, _) => self.elements += 1,
                _ => {}
            }
            if self.parts > MAX_PARTS {
                return Err(TooMany::Parts);
            }
            if self.elements > MAX_ELEMENTS {
                return Err(TooMany::Elements);
            }
            // Strings have no elements.
            if !matches!(inner, MessageKind::Text) {
                self.walk(inner, bytes, depth)?;
            }
        }
        Ok(())
    }
}

/// Length-delimited fields of a message, up to its end or the first malformed byte. Fields inside
/// groups count too, although no message has groups.
struct LengthDelimitedFields<'a>(&'a [u8]);

impl<'a> Iterator for LengthDelimitedFields<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, kind) = decode_key(&mut self.0).ok()?;
            let width = match kind {
                WireType::Varint => {
                    decode_varint(&mut self.0).ok()?;
                    continue;
                }
                // Group markers have no payload.
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
    use longhaul_domain::bounds::MAX_MEMBERS;
    use prost::Message;
    use prost_types::{ListValue, Struct, Value, value::Kind as Held};

    const SEND: &str = "SendMessage";

    fn asking(message: v1::Message) -> Vec<u8> {
        let tenant = "t".to_owned();
        v1::SendMessageRequest { message: Some(message), tenant, ..Default::default() }
            .encode_to_vec()
    }

    fn new(parts: usize) -> Vec<u8> {
        asking(v1::Message { parts: vec![v1::Part::default(); parts], ..v1::Message::default() })
    }

    fn list(values: usize) -> Value {
        Value { kind: Some(Held::ListValue(ListValue { values: vec![Value::default(); values] })) }
    }

    fn object(members: usize) -> Struct {
        let members = (0..members).map(|name| (name.to_string(), Value::default()));
        Struct { fields: members.collect() }
    }

    fn holding(data: Value) -> Vec<u8> {
        let part = v1::Part { content: Some(v1::part::Content::Data(data)), ..v1::Part::default() };
        asking(v1::Message { parts: vec![part], ..v1::Message::default() })
    }

    #[test]
    fn parts_are_counted_across_pieces_and_groups() {
        assert_eq!(check(Dialect::V1_0, SEND, &new(MAX_PARTS)), Ok(()));
        assert!(check(Dialect::V1_0, SEND, &new(MAX_PARTS + 1)).is_err());
        // Split in two, which a decoder merges; and after a group, which it skips.
        let pieces = [new(MAX_PARTS), new(1)].concat();
        assert!(check(Dialect::V1_0, SEND, &pieces).is_err());
        let behind = [vec![0x7b, 0x7c], new(MAX_PARTS + 1)].concat();
        assert!(check(Dialect::V1_0, SEND, &behind).is_err());
        assert!(v1::SendMessageRequest::decode(behind.as_slice()).is_ok());
    }

    #[test]
    fn the_older_package_has_its_own_numbers() {
        let content = vec![v0::Part::default(); MAX_PARTS + 1];
        let request = Some(v0::Message { content, ..v0::Message::default() });
        let bytes = v0::SendMessageRequest { request, ..Default::default() }.encode_to_vec();
        assert!(check(Dialect::V0_3Proto, SEND, &bytes).is_err());
    }

    #[test]
    fn every_list_of_a_1_0_request_is_counted() {
        let many = || vec![String::new(); MAX_MEMBERS + 1];
        let message = v1::Message::default;
        let send = |message| v1::SendMessageRequest {
            message: Some(message),
            ..v1::SendMessageRequest::default()
        };
        let (members, deep) = (object(MAX_MEMBERS + 1), list(MAX_ELEMENTS + 1));
        let deep = ListValue { values: vec![deep] };
        let deep = Value { kind: Some(Held::ListValue(deep)) };
        let deep = Struct { fields: [("a".to_owned(), deep)].into() };
        let metadata = Some(members);
        let part = v1::Part { metadata: metadata.clone(), ..v1::Part::default() };
        let modes = v1::SendMessageConfiguration {
            accepted_output_modes: many(),
            ..v1::SendMessageConfiguration::default()
        };
        for request in [
            send(v1::Message { extensions: many(), ..message() }),
            send(v1::Message { reference_task_ids: many(), ..message() }),
            send(v1::Message { metadata: metadata.clone(), ..message() }),
            send(v1::Message { metadata: Some(deep), ..message() }),
            send(v1::Message { parts: vec![part], ..message() }),
            v1::SendMessageRequest { configuration: Some(modes), ..Default::default() },
            v1::SendMessageRequest { metadata: metadata.clone(), ..Default::default() },
        ] {
            let refused = check(Dialect::V1_0, SEND, &request.encode_to_vec()).unwrap_err();
            assert!(refused.to_string().contains("as a file"), "{refused}");
        }
        let cancel = v1::CancelTaskRequest { metadata, ..Default::default() }.encode_to_vec();
        assert!(check(Dialect::V1_0, "CancelTask", &cancel).is_err());
    }

    #[test]
    fn every_list_of_a_0_3_request_is_counted() {
        let many = || vec![String::new(); MAX_MEMBERS + 1];
        let message = v0::Message::default;
        let send = |message| v0::SendMessageRequest {
            request: Some(message),
            ..v0::SendMessageRequest::default()
        };
        let metadata = Some(object(MAX_MEMBERS + 1));
        let held = v0::part::Part::Data(v0::DataPart { data: metadata.clone() });
        let data = v0::Part { part: Some(held), metadata: None };
        let part = v0::Part { part: None, metadata: metadata.clone() };
        let schemes = v0::AuthenticationInfo { schemes: many(), ..Default::default() };
        let push =
            v0::PushNotificationConfig { authentication: Some(schemes), ..Default::default() };
        let configured = |configuration| v0::SendMessageRequest {
            configuration: Some(configuration),
            ..v0::SendMessageRequest::default()
        };
        for request in [
            send(v0::Message { extensions: many(), ..message() }),
            send(v0::Message { metadata: metadata.clone(), ..message() }),
            send(v0::Message { content: vec![data], ..message() }),
            send(v0::Message { content: vec![part], ..message() }),
            configured(v0::SendMessageConfiguration {
                accepted_output_modes: many(),
                ..Default::default()
            }),
            configured(v0::SendMessageConfiguration {
                push_notification: Some(push.clone()),
                ..Default::default()
            }),
            v0::SendMessageRequest { metadata, ..Default::default() },
        ] {
            assert!(check(Dialect::V0_3Proto, SEND, &request.encode_to_vec()).is_err());
        }
        let config = v0::TaskPushNotificationConfig {
            push_notification_config: Some(push),
            ..Default::default()
        };
        let create = v0::CreateTaskPushNotificationConfigRequest {
            config: Some(config),
            ..Default::default()
        };
        let method = "CreateTaskPushNotificationConfig";
        assert!(check(Dialect::V0_3Proto, method, &create.encode_to_vec()).is_err());
    }

    #[test]
    fn requests_at_the_limits_pass() {
        assert_eq!(check(Dialect::V1_0, SEND, &holding(list(MAX_ELEMENTS))), Ok(()));
        let object = Value { kind: Some(Held::StructValue(object(MAX_MEMBERS))) };
        assert_eq!(check(Dialect::V1_0, SEND, &holding(object)), Ok(()));
        // Strings are not searched, whatever their bytes.
        let text = v1::part::Content::Text("\n\0".repeat(5 << 20));
        let part = v1::Part { content: Some(text), ..v1::Part::default() };
        let message = v1::Message { parts: vec![part], ..v1::Message::default() };
        assert_eq!(check(Dialect::V1_0, SEND, &asking(message)), Ok(()));
    }

    #[test]
    fn extreme_nesting_is_refused_without_recursion() {
        let mut bytes = Vec::new();
        for _ in 0..20_000 {
            let mut outer = Vec::new();
            prost::encoding::bytes::encode(1, &bytes, &mut outer);
            bytes = Vec::new();
            prost::encoding::bytes::encode(6, &outer, &mut bytes);
            if bytes.len() > 50_000 {
                break;
            }
        }
        let mut part = Vec::new();
        prost::encoding::bytes::encode(4, &bytes, &mut part);
        for number in [5, 2] {
            let inner = std::mem::take(&mut part);
            prost::encoding::bytes::encode(number, &inner, &mut part);
        }
        let refused = check(Dialect::V1_0, SEND, &part).unwrap_err();
        assert_eq!(refused, ProtocolError::invalid("message", too_deep()));
        assert!(v1::SendMessageRequest::decode(part.as_slice()).is_err());
    }

    #[test]
    fn the_depth_limit_is_that_of_every_binding() {
        let nested = |depth| {
            (0..depth).fold(Value::default(), |inner, _| Value {
                kind: Some(Held::StructValue(Struct { fields: [("a".to_owned(), inner)].into() })),
            })
        };
        let deepest = holding(nested(MAX_DATA_DEPTH));
        assert_eq!(check(Dialect::V1_0, SEND, &deepest), Ok(()));
        assert!(v1::SendMessageRequest::decode(deepest.as_slice()).is_ok());
        assert!(check(Dialect::V1_0, SEND, &holding(nested(MAX_DATA_DEPTH + 1))).is_err());
    }

    #[test]
    fn malformed_bytes_pass() {
        for bytes in [&[][..], &[0xff; 30], &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(check(Dialect::V1_0, SEND, bytes), Ok(()));
        }
    }
}
