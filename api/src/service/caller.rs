//! The caller of a request, and errors of the store as callers see them; causes go to the log only.

use super::ClientRules;
use longhaul_domain::{AgentName, Principal};
use longhaul_runtime::TraceContext;
use longhaul_store::StoreError;
use longhaul_wire::{Extensions, ProtocolError};
use std::time::Duration;

/// `Retry-After` while the store is unavailable.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(2);

/// The authenticated caller of a request, and what it addresses.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The authenticated principal.
    pub principal: Principal,
    /// The agent named by address or tenant; `None` for the one at the root.
    pub agent: Option<AgentName>,
    /// Id under which causes are logged.
    pub request_id: String,
    /// Trace of the request.
    pub trace: TraceContext,
    /// Extensions that the request has activated.
    pub extensions: Extensions,
    /// Expectations of the client's protocol version.
    pub rules: ClientRules,
    /// Address for a card, if the request asks for one.
    pub card_address: Option<CardAddress>,
}

/// The address of this deployment that a card names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardAddress {
    /// URL, without a trailing slash.
    pub url: String,
    /// Origin of the URL.
    pub source: AddressSource,
}

/// Origin of the address that a card names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressSource {
    /// The setting `server.public_url`.
    Configured,
    /// The request, whose host is one of `server.allowed_hosts`.
    Listed,
    /// The request alone. A card with such an address is never signed.
    Requested,
}

impl Caller {
    /// Logs an error of the store and returns the caller's error.
    pub fn failed(&self, error: &StoreError) -> ProtocolError {
        store_error(&self.request_id, error)
    }
}

/// Logs an error of the store under a request's id and returns the caller's error.
pub fn store_error(request_id: &str, error: &StoreError) -> ProtocolError {
    match error {
        StoreError::Unavailable(_) => {
            tracing::warn!(request_id, %error, "request rejected: store unavailable");
            ProtocolError::Unavailable { retry_after: UNAVAILABLE_RETRY_AFTER }
        }
        StoreError::Refused(_)
        | StoreError::Corrupt { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Schema(_) => {
            tracing::error!(request_id, %error, "request failed");
            ProtocolError::Internal { request_id: request_id.to_owned() }
        }
    }
}
