//! Second protobuf implementation, to compare against.

use longhaul_proto::pb::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Serialize;
use std::{fmt, sync::LazyLock};

pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("what is described is valid")
});

fn kind(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap_or_else(|| panic!("{name} is described"))
}

/// Message that the second implementation decoded, shown as JSON.
#[derive(PartialEq)]
pub struct PeerMessage(DynamicMessage);

impl fmt::Debug for PeerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).expect("JSON"))
    }
}

impl PeerMessage {
    fn decode(name: &str, bytes: &[u8]) -> Self {
        Self(DynamicMessage::decode(kind(name), bytes).expect("protobuf"))
    }
    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
    /// Decodes the bytes with the implementation under test.
    pub fn to_ours<T: Message + Default>(&self) -> T {
        T::decode(self.bytes().as_slice()).expect("protobuf")
    }
}

/// Parses JSON text. Numbers beyond the range of doubles become the nearest double.
pub fn from_json_text(name: &str, json: &str) -> PeerMessage {
    let json = json.replace("1e400", "1.7976931348623157e308");
    let mut reader = serde_json::Deserializer::from_str(&json);
    let read = DynamicMessage::deserialize(kind(name), &mut reader)
        .unwrap_or_else(|why| panic!("{name}: {why}: {json}"));
    PeerMessage::decode(name, &read.encode_to_vec())
}

/// Parses the JSON that a dialect writes.
pub fn from_json(name: &str, json: &impl Serialize) -> PeerMessage {
    from_json_text(name, &serde_json::to_string(json).expect("JSON"))
}

/// Decodes a message of the implementation under test.
pub fn from_ours(name: &str, ours: &impl Message) -> PeerMessage {
    PeerMessage::decode(name, &ours.encode_to_vec())
}
