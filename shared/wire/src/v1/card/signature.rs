//! `AgentCardSignature` (A2A 4.4.7).

use crate::raw::{JsonPath, Parsed, RawJson, object, scalar};
use longhaul_domain::JsonObject;
use serde::Serialize;

/// A detached JWS over the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCardSignature {
    /// Protected header, base64url.
    pub protected: String,
    /// Signature, base64url.
    pub signature: String,
    /// Unprotected header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<JsonObject>,
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<AgentCardSignature> {
    let [protected, signature, header] = object(raw, at, ["protected", "signature", "header"])?;
    let protected = protected.text(at);
    let signature = signature.text(at);
    let header = header.optional(at, scalar::json_object);
    Ok(AgentCardSignature { protected: protected?, signature: signature?, header: header? })
}
