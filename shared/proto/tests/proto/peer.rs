//! The other implementation of protobuf.

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

/// A message as it came over the wire, shown as JSON.
#[derive(PartialEq)]
pub struct Theirs(DynamicMessage);

impl fmt::Debug for Theirs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).expect("JSON"))
    }
}

impl Theirs {
    fn decode(name: &str, bytes: &[u8]) -> Self {
        Self(DynamicMessage::decode(kind(name), bytes).expect("protobuf"))
    }
    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
    /// Read by us.
    pub fn to_ours<T: Message + Default>(&self) -> T {
        T::decode(self.bytes().as_slice()).expect("protobuf")
    }
}

/// A message of JSON text. Numbers beyond every double are those next to them.
pub fn of_text(name: &str, json: &str) -> Theirs {
    let json = json.replace("1e400", "1.7976931348623157e308");
    let mut reader = serde_json::Deserializer::from_str(&json);
    let read = DynamicMessage::deserialize(kind(name), &mut reader)
        .unwrap_or_else(|why| panic!("{name}: {why}: {json}"));
    Theirs::decode(name, &read.encode_to_vec())
}

/// A message of what a dialect writes.
pub fn of_json(name: &str, json: &impl Serialize) -> Theirs {
    of_text(name, &serde_json::to_string(json).expect("JSON"))
}

/// What we send.
pub fn of_ours(name: &str, ours: &impl Message) -> Theirs {
    Theirs::decode(name, &ours.encode_to_vec())
}
