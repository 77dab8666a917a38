//! Every error that a client can see, with a message that says what to do (A2A 3.3.2). Causes inside never get here:
//! they go to the log under the request's id.

use crate::{dialect::shortened, raw::Violation};
use longhaul_domain::{Scope, TaskState};
use std::time::Duration;

/// Domain of reasons that the A2A specification defines.
pub const A2A_DOMAIN: &str = "a2a-protocol.org";
/// Domain of reasons that it leaves to the server.
pub const OWN_DOMAIN: &str = "longhaul";

/// An error on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// No such task, or not the caller's: the two must not be told apart.
    #[error("Task not found. Check the task id, and that it was created with the same credentials")]
    TaskNotFound {
        /// As the client wrote it.
        task: String,
    },
    /// The task has ended.
    #[error(
        "Task cannot be canceled: it is already {state}. Fetch it with GetTask to see its result"
    )]
    TaskNotCancelable {
        /// As the client wrote it.
        task: String,
        /// Where it stands.
        state: TaskState,
    },
    /// No webhooks here.
    #[error(
        "Push notifications are not supported. Use SendStreamingMessage, SubscribeToTask or GetTask instead"
    )]
    PushNotificationNotSupported,
    /// Not possible with this task or this agent.
    #[error("This operation is not supported: {0}")]
    UnsupportedOperation(String),
    /// No skill reads this media type.
    #[error("Content of type {} is not accepted. Send one of: {}", shortened(.media_type), .accepted.join(", "))]
    ContentTypeNotSupported {
        /// What was sent.
        media_type: String,
        /// What could be.
        accepted: Vec<String>,
    },
    /// The agent broke the protocol.
    #[error("The agent gave an answer that is not valid: {0}")]
    InvalidAgentResponse(String),
    /// There is no extended card.
    #[error(
        "No extended agent card is configured. Use the public card at /.well-known/agent-card.json"
    )]
    ExtendedAgentCardNotConfigured,
    /// The client must declare an extension.
    #[error("The extension {uri} is required. Declare it in the A2A-Extensions header")]
    ExtensionSupportRequired {
        /// Which extension.
        uri: String,
    },
    /// The version is not served.
    #[error(
        "Protocol version {asked} is not supported. Set the A2A-Version header to one of: {supported}"
    )]
    VersionNotSupported {
        /// What was asked for, or assumed.
        asked: String,
        /// What is served.
        supported: &'static str,
    },
    /// Not JSON.
    #[error("Invalid JSON payload: {0}")]
    ParseError(String),
    /// JSON, but not a request.
    #[error("Invalid request: {0}")]
    InvalidRequest(String),
    /// No such method.
    #[error("Method not found: {0}. See the A2A specification, section 5.3, for the names")]
    MethodNotFound(String),
    /// A request whose parameters are wrong.
    #[error("Invalid parameters: {}", summary(.0))]
    InvalidParams(Vec<Violation>),
    /// Nobody the server knows.
    #[error("{}", unauthenticated(challenge))]
    Unauthenticated {
        /// Value of `WWW-Authenticate`.
        challenge: String,
    },
    /// Somebody who may not.
    #[error("The API key lacks the scope {scope}. Use a key that has it")]
    PermissionDenied {
        /// What would be needed.
        scope: Scope,
    },
    /// Too much at once.
    #[error("{why}. Try again in {} s", seconds(*.retry_after))]
    ResourceExhausted {
        /// Which limit is reached and what to do, as a sentence without its full stop.
        why: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// Something the server needs is away for now.
    #[error("The service is temporarily unavailable. Try again in {} s", seconds(*.retry_after))]
    Unavailable {
        /// When to come back.
        retry_after: Duration,
    },
    /// The body is too large.
    #[error(
        "The request body is larger than {limit} bytes. Send large files by URL, or in several messages"
    )]
    TooLarge {
        /// Largest body, in bytes.
        limit: u64,
    },
    /// A fault of the server.
    #[error("Internal error. Report it with the request id {request_id}")]
    Internal {
        /// Under which the cause is logged.
        request_id: String,
    },
}

/// Whole seconds to wait, rounded up, at least one: what `Retry-After` holds.
pub fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Tells a caller with a wrong key apart from one without a key.
fn unauthenticated(challenge: &str) -> &'static str {
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
    /// One wrong parameter.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::InvalidParams(vec![Violation::new(field, description)])
    }

    /// The machine-readable name: that of the A2A error in `UPPER_SNAKE` without "Error".
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

    /// Whose reason it is: [`A2A_DOMAIN`] for the errors of A2A 3.3.2, else [`OWN_DOMAIN`].
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
            // Errors of JSON-RPC that every binding has: clients look for them there.
            | Self::ParseError(_)
            | Self::InvalidRequest(_)
            | Self::MethodNotFound(_)
            | Self::InvalidParams(_) => A2A_DOMAIN,
            Self::Unauthenticated { .. }
            | Self::PermissionDenied { .. }
            | Self::ResourceExhausted { .. }
            | Self::Unavailable { .. }
            | Self::TooLarge { .. }
            | Self::Internal { .. } => OWN_DOMAIN,
        }
    }

    /// Facts for a program, by name.
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

    /// When to try again, for those that pass by themselves.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ResourceExhausted { retry_after, .. } | Self::Unavailable { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
