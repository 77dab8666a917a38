//! Errors of calls, and which of them are worth a retry.

use serde::Deserialize;
use serde_json::Value;

/// The operation is not possible in this state (A2A 5.4).
const UNSUPPORTED_OPERATION: i64 = -32004;
/// A limit was reached.
const RESOURCE_EXHAUSTED: i64 = -32052;
/// The store is unavailable.
const STORE_UNAVAILABLE: i64 = -32053;

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address is no `http` or `https` URL.
    #[error("{url:?} {reason}")]
    InvalidUrl {
        /// The address as it was given.
        url: String,
        /// The problem, as a clause about the address.
        reason: String,
    },
    /// A name that no path can hold: it is empty, `.` or `..`. Nothing was sent.
    #[error("{0:?} cannot be the name of anything")]
    InvalidName(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot start: {0}")]
    Setup(String),
    /// The request could not be written as JSON. Nothing was sent.
    #[error("the request cannot be written: {0}")]
    InvalidRequest(String),
    /// The server cannot be reached, did not answer in time, or the connection broke.
    #[error("{url} cannot be reached: {cause}")]
    Unreachable {
        /// The server.
        url: String,
        /// The innermost cause, such as "Connection refused".
        cause: String,
        /// True if the request may have arrived.
        sent: bool,
    },
    /// An HTTP error without a message.
    #[error("{url} answered HTTP {status}")]
    Http {
        /// The server.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The API that was called.
        api: ApiKind,
    },
    /// A redirect to another origin, or one that would change the request. Nothing was sent there.
    #[error("{url} sends its clients on to {}, where nothing was sent", .to.as_deref().unwrap_or("an address that it does not say"))]
    Redirected {
        /// The server.
        url: String,
        /// The target, if the answer names one.
        to: Option<String>,
    },
    /// A JSON-RPC error.
    #[error("the server refused: {0}")]
    Rpc(RpcError),
    /// An HTTP error with a message.
    #[error("the server refused: {}", .message.trim_end_matches('.'))]
    Denied {
        /// The server.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: String,
        /// The API that was called.
        api: ApiKind,
    },
    /// A document larger than [`MAX_DOCUMENT_BYTES`](crate::MAX_DOCUMENT_BYTES).
    #[error("{url} answered more than {limit} bytes")]
    TooLarge {
        /// The document.
        url: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// An answer that is not what the protocol says.
    #[error("the answer of the server cannot be understood: {0}")]
    Unreadable(String),
}

/// The API of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKind {
    /// A2A over JSON-RPC.
    A2a,
    /// Agents and task logs: `/agents` and `/tasks/{id}/log`, on Longhaul servers.
    Native,
    /// The operator API, below `/operator/v1`.
    Operator,
    /// Cards and key sets.
    Document,
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RpcError {
    /// The error code (A2A 5.4).
    pub code: i64,
    /// The server's message.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    data: Value,
}

impl ClientError {
    /// Returns true if a retry may succeed.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Http { status, .. } | Self::Denied { status, .. } => {
                matches!(status, 429 | 502..=504)
            }
            Self::Rpc(error) => matches!(error.code, RESOURCE_EXHAUSTED | STORE_UNAVAILABLE),
            Self::InvalidUrl { .. }
            | Self::InvalidName(_)
            | Self::Setup(_)
            | Self::InvalidRequest(_)
            | Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable(_) => false,
        }
    }

    /// Returns true if the request may have had an effect although its answer did not come.
    pub const fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Unreachable { sent: true, .. } | Self::Http { status: 502 | 504, .. })
    }

    /// Returns true if there is nothing to subscribe to, because the task has ended.
    pub(crate) const fn is_task_ended(&self) -> bool {
        matches!(self, Self::Rpc(error) if error.code == UNSUPPORTED_OPERATION)
    }
}

impl std::fmt::Display for RpcError {
    /// The server's message, with the fields that it complains about, and the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.trim_end_matches('.'))?;
        let violations = self.violations();
        if !violations.is_empty() {
            write!(f, ": {}", violations.join("; "))?;
        }
        write!(f, " (code {})", self.code)
    }
}

impl RpcError {
    /// The field violations of `google.rpc.BadRequest` that the message does not repeat.
    pub fn violations(&self) -> Vec<String> {
        // Servers put the details into a list, into `details`, or send the one detail as the data.
        let details = match &self.data {
            Value::Array(details) => details.iter().collect(),
            Value::Object(object) => match object.get("details") {
                Some(Value::Array(details)) => details.iter().collect(),
                _ => vec![&self.data],
            },
            _ => Vec::new(),
        };
        let lists = details.into_iter().filter_map(|detail| detail["fieldViolations"].as_array());
        lists
            .flatten()
            .map(|violation| {
                let text = |name: &str| violation[name].as_str().unwrap_or_default();
                format!("{} {}", text("field"), text("description")).trim().to_owned()
            })
            .filter(|violation| !violation.is_empty() && !self.message.contains(violation.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rpc_error(error: Value) -> ClientError {
        ClientError::Rpc(serde_json::from_value(error).unwrap())
    }

    fn http(status: u16) -> ClientError {
        ClientError::Http { url: "http://a".to_owned(), status, api: ApiKind::A2a }
    }

    #[test]
    fn an_rpc_error_is_one_sentence_with_its_violations() {
        let error = rpc_error(json!({"code": -32602, "message": "Invalid parameters.", "data": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                {"field": "message.parts[0].text", "description": "is missing"},
                {"field": "message.role", "description": "must be ROLE_USER"},
            ]},
        ]}));
        assert_eq!(
            error.to_string(),
            "the server refused: Invalid parameters: message.parts[0].text is missing; \
             message.role must be ROLE_USER (code -32602)"
        );
    }

    #[test]
    fn an_rpc_error_without_data_is_a_sentence_too() {
        let error = rpc_error(json!({"code": -32001, "message": "Task not found"}));
        assert_eq!(error.to_string(), "the server refused: Task not found (code -32001)");
    }

    #[test]
    fn only_transient_errors_are_retried() {
        assert!(http(503).is_transient());
        assert!(rpc_error(json!({"code": -32053, "message": ""})).is_transient());
        assert!(!rpc_error(json!({"code": -32602, "message": ""})).is_transient());
        assert!(!http(401).is_transient());
    }
}
