//! Requests, independent of the dialect. Readers check the shape; the store answers the rest, such
//! as existence and ownership of a task.

use crate::TaskRef;
use longhaul_domain::{ContextId, JsonObject, Message, TaskState, Timestamp};
use std::fmt;

/// Default page size of a list (A2A 3.1.4).
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Maximum page size of a list.
pub const MAX_PAGE_SIZE: u32 = 100;

/// Text that must not appear in logs; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// Returns the secret.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Credentials for a webhook (A2A 4.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationInfo {
    /// HTTP scheme, such as `Bearer`.
    pub scheme: String,
    /// Credentials for the scheme.
    pub credentials: Option<Secret>,
}

/// Webhook that a client registers (A2A 4.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// Routing label.
    pub tenant: Option<String>,
    /// Id of the config; the server makes one if absent.
    pub id: Option<String>,
    /// Task of the config; absent inside a send.
    pub task: Option<TaskRef>,
    /// Target of the deliveries: an `http` or `https` URL.
    pub url: String,
    /// Token that accompanies every delivery.
    pub token: Option<Secret>,
    /// Credentials for the target.
    pub authentication: Option<AuthenticationInfo>,
}

/// Parameters of Send Message and Send Streaming Message (A2A 3.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Message of the client: at least one part, role user. `task_id` is `None`; see `target`.
    pub message: Message,
    /// Task that the message continues.
    pub target: Option<TaskRef>,
    /// Set to return at once instead of waiting for the task; no effect on a stream.
    pub return_immediately: bool,
    /// Number of most recent messages in the response; `None` for all.
    pub history_length: Option<u32>,
    /// Media types that the client accepts; empty for any.
    pub accepted_output_modes: Vec<String>,
    /// Webhook to register for the task.
    pub push_config: Option<PushConfig>,
    /// Metadata of the request; the message has its own.
    pub metadata: Option<JsonObject>,
}

impl SendRequest {
    /// Creates a request with defaults for everything but the message.
    pub const fn new(message: Message) -> Self {
        Self {
            tenant: None,
            message,
            target: None,
            return_immediately: false,
            history_length: None,
            accepted_output_modes: Vec::new(),
            push_config: None,
            metadata: None,
        }
    }
}

/// Parameters of Get Task (A2A 3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Requested task.
    pub id: TaskRef,
    /// Number of most recent messages to show; `None` for all.
    pub history_length: Option<u32>,
}

/// Parameters of List Tasks (A2A 3.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Filter by context.
    pub context_id: Option<ContextId>,
    /// Filter by state.
    pub status: Option<TaskState>,
    /// Requested page size, 1 to [`MAX_PAGE_SIZE`].
    pub page_size: Option<u32>,
    /// Token of the requested page.
    pub page_token: Option<String>,
    /// Number of most recent messages per task; `None` for all.
    pub history_length: Option<u32>,
    /// Filter by time of the status, inclusive.
    pub status_timestamp_after: Option<Timestamp>,
    /// Set to include artifacts.
    pub include_artifacts: bool,
}

impl ListRequest {
    /// Requested page size, or [`DEFAULT_PAGE_SIZE`].
    pub fn page_size_or_default(&self) -> u32 {
        self.page_size.unwrap_or(DEFAULT_PAGE_SIZE)
    }
}

/// Parameters of Cancel Task (A2A 3.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Task to cancel.
    pub id: TaskRef,
    /// Metadata of the request.
    pub metadata: Option<JsonObject>,
}

/// Parameters of Subscribe to Task (A2A 3.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Task to follow.
    pub id: TaskRef,
}

/// Parameters of Create Push Notification Config (A2A 3.1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfigRequest {
    /// Task to watch.
    pub task: TaskRef,
    /// Webhook to register.
    pub config: PushConfig,
}

/// Parameters of Get and Delete Push Notification Config (A2A 3.1.8, 3.1.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRefRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Task of the config.
    pub task: TaskRef,
    /// Id of the config. Empty means the task's only config, before 1.0.
    pub id: String,
}

/// Parameters of List Push Notification Configs (A2A 3.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushListRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Task of the configs.
    pub task: TaskRef,
    /// Requested page size.
    pub page_size: Option<u32>,
    /// Token of the requested page.
    pub page_token: Option<String>,
}

/// Parameters of Get Extended Agent Card (A2A 3.1.11).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedCardRequest {
    /// Routing label.
    pub tenant: Option<String>,
}

/// Parameters of any operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Send Message.
    Send(Box<SendRequest>),
    /// Send Streaming Message.
    Stream(Box<SendRequest>),
    /// Get Task.
    Get(GetRequest),
    /// List Tasks.
    List(ListRequest),
    /// Cancel Task.
    Cancel(CancelRequest),
    /// Subscribe to Task.
    Subscribe(SubscribeRequest),
    /// Create Push Notification Config.
    CreatePush(PushConfigRequest),
    /// Get Push Notification Config.
    GetPush(PushRefRequest),
    /// List Push Notification Configs.
    ListPush(PushListRequest),
    /// Delete Push Notification Config.
    DeletePush(PushRefRequest),
    /// Get Extended Agent Card.
    ExtendedCard(ExtendedCardRequest),
}

impl Request {
    /// Task id that the client chose, if it chose one.
    pub fn client_task_id(&self) -> Option<&str> {
        let task = match self {
            Self::Send(r) | Self::Stream(r) => r.target.as_ref()?,
            Self::Get(r) => &r.id,
            Self::Cancel(r) => &r.id,
            Self::Subscribe(r) => &r.id,
            Self::CreatePush(r) => &r.task,
            Self::GetPush(r) | Self::DeletePush(r) => &r.task,
            Self::ListPush(r) => &r.task,
            Self::List(_) | Self::ExtendedCard(_) => return None,
        };
        match task {
            TaskRef::Chosen(text) => Some(text),
            TaskRef::Known(_) | TaskRef::Malformed(_) => None,
        }
    }

    /// Routing label, if given.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::Send(r) | Self::Stream(r) => r.tenant.as_deref(),
            Self::Get(r) => r.tenant.as_deref(),
            Self::List(r) => r.tenant.as_deref(),
            Self::Cancel(r) => r.tenant.as_deref(),
            Self::Subscribe(r) => r.tenant.as_deref(),
            Self::CreatePush(r) => r.config.tenant.as_deref(),
            Self::GetPush(r) | Self::DeletePush(r) => r.tenant.as_deref(),
            Self::ListPush(r) => r.tenant.as_deref(),
            Self::ExtendedCard(r) => r.tenant.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
    }
}
