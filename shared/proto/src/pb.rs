//! Generated code: messages, services and clients.

/// Package `lf.a2a.v1`: A2A 1.0.
#[expect(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    missing_docs,
    reason = "generated; the .proto files describe what is here"
)]
pub mod v1 {
    tonic::include_proto!("lf.a2a.v1");
}

/// Package `a2a.v1`: A2A 0.3.
#[expect(
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    missing_docs,
    reason = "generated; the .proto files describe what is here"
)]
pub mod v0 {
    tonic::include_proto!("a2a.v1");
}

/// Package `google.rpc`: error details.
#[expect(missing_docs, reason = "generated; the .proto file describes what is here")]
pub mod rpc {
    tonic::include_proto!("google.rpc");
}

/// Encoded `google.protobuf.FileDescriptorSet` of all packages, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/described.bin"));
