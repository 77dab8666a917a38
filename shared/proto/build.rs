//! Compiles the `.proto` files without `protoc`: to messages, services and clients, and to the
//! descriptor set for server reflection.

use prost::Message;
use std::{env, error::Error, fs, path::PathBuf};

const PROTO_FILES: [&str; 3] =
    ["lf/a2a/v1/service.proto", "a2a/v1/service.proto", "google/rpc/status.proto"];

/// Messages with the same numbers and types in 0.3 and 1.0, apart from trailing members of 1.0. One
/// Rust type serves both packages.
const SHARED_MESSAGES: [(&str, &str); 20] = [
    ("AgentCapabilities", "AgentCapabilities"),
    ("AgentCardSignature", "AgentCardSignature"),
    ("AgentExtension", "AgentExtension"),
    ("AgentProvider", "AgentProvider"),
    ("AgentSkill", "AgentSkill"),
    ("APIKeySecurityScheme", "ApiKeySecurityScheme"),
    ("AuthorizationCodeOAuthFlow", "AuthorizationCodeOAuthFlow"),
    ("ClientCredentialsOAuthFlow", "ClientCredentialsOAuthFlow"),
    ("HTTPAuthSecurityScheme", "HttpAuthSecurityScheme"),
    ("ImplicitOAuthFlow", "ImplicitOAuthFlow"),
    ("MutualTlsSecurityScheme", "MutualTlsSecurityScheme"),
    ("OAuth2SecurityScheme", "OAuth2SecurityScheme"),
    ("OAuthFlows", "OAuthFlows"),
    ("OpenIdConnectSecurityScheme", "OpenIdConnectSecurityScheme"),
    ("PasswordOAuthFlow", "PasswordOAuthFlow"),
    ("Role", "Role"),
    ("Security", "SecurityRequirement"),
    ("SecurityScheme", "SecurityScheme"),
    ("StringList", "StringList"),
    ("TaskState", "TaskState"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTO_FILES, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("described.bin"), descriptors.encode_to_vec())?;
    let mut builder = tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::ProtobufCodec")
        // Files share the request's buffer instead of being copied.
        .bytes(".")
        // Sorted maps make the output deterministic.
        .btree_map(".");
    // Messages of 0.3 reuse the Rust types of 1.0.
    for (old, new) in SHARED_MESSAGES {
        builder = builder.extern_path(format!(".a2a.v1.{old}"), format!("crate::pb::v1::{new}"));
    }
    builder.compile_fds(descriptors)?;
    Ok(())
}
