//! What a failing store means for the caller: one place, and causes go to the log only.

use super::Caller;
use longhaul_store::StoreError;
use longhaul_wire::ProtocolError;
use std::time::Duration;

/// When to come back while the store is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Caller {
    /// Logs a failure of the store and gives what the caller is told.
    pub fn failed(&self, error: &StoreError) -> ProtocolError {
        failed(&self.request_id, error)
    }
}

/// Logs a failure of the store under a request's id and gives what the caller is told.
pub fn failed(request_id: &str, error: &StoreError) -> ProtocolError {
    match error {
        StoreError::Unavailable(_) => {
            tracing::warn!(request_id, %error, "turned away");
            ProtocolError::Unavailable { retry_after: RETRY_AFTER }
        }
        StoreError::Refused(_)
        | StoreError::Corrupt { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Schema(_) => {
            tracing::error!(request_id, %error, "failed");
            ProtocolError::Internal { request_id: request_id.to_owned() }
        }
    }
}
