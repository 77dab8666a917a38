//! Errors that a client can see, each with a message that says what to do (A2A 3.3.2). Internal
//! causes never appear here; they are logged under the request id.

use crate::raw::{Violation, shortened};
use longhaul_domain::{Scope, TaskState};
use std::time::Duration;

/// Domain of reasons that the A2A specification defines.
pub const A2A_DOMAIN: &str = "a2a-protocol.org";
/// Domain of reasons that the specification leaves to the server.
pub const LONGHAUL_DOMAIN: &str = "longhaul";

/// Error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Unknown task, or another owner's task. The two must look the same.
    #[error("Task not found. Check the task id, and that it was created with the same credentials")]
    TaskNotFound {
        /// Task id as the client wrote it.
        task: String,
    },
    /// Task that has ended.
    #[error(
        "Task cannot be canceled: it is already {state}. Fetch it with GetTask to see its result"
    )]
    TaskNotCancelable {
        /// Task id as the client wrote it.
        task: String,
        /// Terminal state of the task.
        state: TaskState,
    },
    /// Push notifications are not served.
    #[error(
        "Push notifications are not supported. Use SendStreamingMessage, SubscribeToTask or GetTask instead"
    )]
    PushNotificationNotSupported,
    /// Operation that this task or agent does not support.
    #[error("This operation is not supported: {0}")]
    UnsupportedOperation(String),
    /// Media type that no skill accepts.
    #[error("Content of type {} is not accepted. Send one of: {}", shortened(.media_type), .accepted.join(", "))]
    ContentTypeNotSupported {
        /// Media type that the client sent.
        media_type: String,
        /// Media types that are accepted.
        accepted: Vec<String>,
    },
    /// Answer of the agent that violates the protocol.
    #[error("The agent gave an answer that is not valid: {0}")]
    InvalidAgentResponse(String),
    /// No extended card exists.
    #[error(
        "No extended agent card is configured. Use the public card at /.well-known/agent-card.json"
    )]
    ExtendedAgentCardNotConfigured,
    /// Extension that the client must declare.
    #[error("The extension {uri} is required. Declare it in the A2A-Extensions header")]
    ExtensionSupportRequired {
        /// URI of the extension.
        uri: String,
    },
    /// Protocol version that is not served.
    #[error(
        "Protocol version {asked} is not supported. Set the A2A-Version header to one of: {supported}"
    )]
    VersionNotSupported {
        /// Requested or assumed version.
        asked: String,
        /// Served versions.
        supported: &'static str,
    },
    /// Body that is not JSON.
    #[error("Invalid JSON payload: {0}")]
    ParseError(String),
    /// JSON that is not a request.
    #[error("Invalid request: {0}")]
    InvalidRequest(String),
    /// Unknown method.
    #[error("Method not found: {0}. See the A2A specification, section 5.3, for the names")]
    MethodNotFound(String),
    /// Request with invalid parameters.
    #[error("Invalid parameters: {}", summary(.0))]
    InvalidParams(Vec<Violation>),
    /// Missing or invalid credentials.
    #[error("{}", unauthenticated(challenge))]
    Unauthenticated {
        /// Value of `WWW-Authenticate`.
        challenge: String,
    },
    /// Credentials without the required scope.
    #[error("The API key lacks the scope {scope}. Use a key that has it")]
    PermissionDenied {
        /// Required scope.
        scope: Scope,
    },
    /// Exceeded limit.
    #[error("{why}. Try again in {} s", retry_after_seconds(*.retry_after))]
    ResourceExhausted {
        /// Limit that was reached and what to do, as a sentence without its full stop.
        why: String,
        /// Delay before the next try.
        retry_after: Duration,
    },
    /// Temporary outage of a dependency.
    #[error("The service is temporarily unavailable. Try again in {} s", retry_after_seconds(*.retry_after))]
    Unavailable {
        /// Delay before the next try.
        retry_after: Duration,
    },
    /// Request body over the limit.
    #[error(
        "The request body is larger than {limit} bytes. Send large files by URL, or in several messages"
    )]
    TooLarge {
        /// Maximum body size, in bytes.
        limit: u64,
    },
    /// Internal error.
    #[error("Internal error. Report it with the request id {request_id}")]
    Internal {
        /// Request id under which the cause is logged.
        request_id: String,
    },
}

/// Whole seconds for `Retry-After`: rounded up, at least one.
pub fn retry_after_seconds(wait: Duration) -> u64 {
    // Zero would make clients retry at once.
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Tells a caller with an invalid key from one without a key.
fn unauthenticated(challenge: &str) -> &'static str {
    // RFC 6750 puts the error into the challenge.
    if challenge.contains("invalid_token") {
        "The API key is not known to this server: it was mistyped, revoked, or made for another one"
    } else {
        "Authentication is required. Send an API key as Authorization: Bearer <key> or X-API-Key: <key>"
    }
}

fn summary(violations: &[Violation]) -> String {
    match violations {
        [] => "see the details".to_owned(),
        [one] => format!("{} {}", one.field, one.description),
        [first, rest @ ..] => {
            format!("{} {} (and {} more)", first.field, first.description, rest.len())
        }
    }
}

impl ProtocolError {
    /// Creates an error for one invalid parameter.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::InvalidParams(vec![Violation::new(field, description)])
    }

    /// Machine-readable name: the A2A error name in `UPPER_SNAKE` without "Error".
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TaskNotFound { .. } => "TASK_NOT_FOUND",
            Self::TaskNotCancelable { .. } => "TASK_NOT_CANCELABLE",
            Self::PushNotificationNotSupported => "PUSH_NOTIFICATION_NOT_SUPPORTED",
            Self::UnsupportedOperation(_) => "UNSUPPORTED_OPERATION",
            Self::ContentTypeNotSupported { .. } => "CONTENT_TYPE_NOT_SUPPORTED",
            Self::InvalidAgentResponse(_) => "INVALID_AGENT_RESPONSE",
            Self::ExtendedAgentCardNotConfigured => "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
            Self::ExtensionSupportRequired { .. } => "EXTENSION_SUPPORT_REQUIRED",
            Self::VersionNotSupported { .. } => "VERSION_NOT_SUPPORTED",
            Self::ParseError(_) => "PARSE_ERROR",
            Self::InvalidRequest(_) => "INVALID_REQUEST",
            Self::MethodNotFound(_) => "METHOD_NOT_FOUND",
            Self::InvalidParams(_) => "INVALID_PARAMS",
            Self::Unauthenticated { .. } => "UNAUTHENTICATED",
            Self::PermissionDenied { .. } => "PERMISSION_DENIED",
            Self::ResourceExhausted { .. } => "RESOURCE_EXHAUSTED",
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::TooLarge { .. } => "REQUEST_TOO_LARGE",
            Self::Internal { .. } => "INTERNAL",
        }
    }

    /// Domain of the reason: [`A2A_DOMAIN`] for the errors of A2A 3.3.2, [`LONGHAUL_DOMAIN`]
    /// otherwise.
    pub const fn domain(&self) -> &'static str {
        match self {
            Self::TaskNotFound { .. }
            | Self::TaskNotCancelable { .. }
            | Self::PushNotificationNotSupported
            | Self::UnsupportedOperation(_)
            | Self::ContentTypeNotSupported { .. }
            | Self::InvalidAgentResponse(_)
            | Self::ExtendedAgentCardNotConfigured
            | Self::ExtensionSupportRequired { .. }
            | Self::VersionNotSupported { .. }
            // Errors of JSON-RPC exist in every binding, and clients look for them in this domain.
            | Self::ParseError(_)
            | Self::InvalidRequest(_)
            | Self::MethodNotFound(_)
            | Self::InvalidParams(_) => A2A_DOMAIN,
            Self::Unauthenticated { .. }
            | Self::PermissionDenied { .. }
            | Self::ResourceExhausted { .. }
            | Self::Unavailable { .. }
            | Self::TooLarge { .. }
            | Self::Internal { .. } => LONGHAUL_DOMAIN,
        }
    }

    /// Machine-readable facts, by name.
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::TaskNotFound { task } => vec![("taskId", shortened(task))],
            Self::TaskNotCancelable { task, state } => {
                vec![("taskId", shortened(task)), ("state", state.to_string())]
            }
            Self::ContentTypeNotSupported { media_type, accepted } => {
                vec![("mediaType", shortened(media_type)), ("accepted", accepted.join(","))]
            }
            Self::ExtensionSupportRequired { uri } => vec![("extension", uri.clone())],
            Self::VersionNotSupported { asked, supported } => {
                vec![("version", asked.clone()), ("supported", (*supported).to_owned())]
            }
            Self::PermissionDenied { scope } => vec![("scope", scope.to_string())],
            Self::Unauthenticated { challenge } => vec![("challenge", challenge.clone())],
            Self::TooLarge { limit } => vec![("limitBytes", limit.to_string())],
            Self::Internal { request_id } => vec![("requestId", request_id.clone())],
            Self::PushNotificationNotSupported
            | Self::UnsupportedOperation(_)
            | Self::InvalidAgentResponse(_)
            | Self::ExtendedAgentCardNotConfigured
            | Self::ParseError(_)
            | Self::InvalidRequest(_)
            | Self::MethodNotFound(_)
            | Self::InvalidParams(_)
            | Self::ResourceExhausted { .. }
            | Self::Unavailable { .. } => Vec::new(),
        }
    }

    /// Delay before a retry can succeed; `None` for errors that a retry cannot cure.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ResourceExhausted { retry_after, .. } | Self::Unavailable { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
