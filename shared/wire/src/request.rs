//! What a client asks for, whatever dialect it speaks. Shape is checked when a request is read; what needs the store
//! (does the task exist, is it this owner's) is not.

use longhaul_domain::{
    ContextId, JsonObject, Message, OwnerId, TaskId, TaskState, Timestamp,
    ids::MAX_CLIENT_ID_BYTES, text::check_identifier,
};
use std::fmt;

/// Page size of a list when none is asked for (A2A 3.1.4).
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Largest page of a list.
pub const MAX_PAGE_SIZE: u32 = 100;

/// A task id as a client wrote it. One that is malformed names no task and ends as "not found", just as one that is
/// well-formed and unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TaskRef {
    /// Well-formed.
    Known(TaskId),
    /// Not a task id; kept as it was written, never empty.
    Malformed(String),
    /// An id that the client chose, as clients of A2A 0.1 do; never empty. It stands for the task of
    /// [`chosen::task_id`](crate::chosen::task_id), which may not exist yet.
    Chosen(String),
}

impl TaskRef {
    /// Takes the text of a client.
    pub fn parse(text: impl Into<String>) -> Self {
        let text = text.into();
        text.parse().map_or(Self::Malformed(text), Self::Known)
    }
    /// Takes the text of a client that chooses ids. One that only this server makes is taken for that: a UUID of version 7,
    /// or of the version that chosen ids are turned into. One that is out of the bounds of chosen ids names no task.
    pub fn chosen(text: String) -> Self {
        if check_identifier(&text, MAX_CLIENT_ID_BYTES).is_err() {
            return Self::Malformed(text);
        }
        let own = text.parse::<TaskId>().ok().filter(|id| {
            matches!(id.uuid().get_version_num(), 7 | crate::chosen::DERIVED)
                && id.to_string() == text
        });
        own.map_or(Self::Chosen(text), Self::Known)
    }
    /// The id, when it is well-formed.
    pub const fn id(&self) -> Option<TaskId> {
        match self {
            Self::Known(id) => Some(*id),
            Self::Malformed(_) | Self::Chosen(_) => None,
        }
    }
    /// The id of the task that is meant by this owner; none: there is none.
    pub fn of(&self, owner: OwnerId) -> Option<TaskId> {
        match self {
            Self::Known(id) => Some(*id),
            Self::Malformed(_) => None,
            Self::Chosen(text) => Some(crate::chosen::task_id(owner, text)),
        }
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(id) => id.fmt(f),
            Self::Malformed(text) | Self::Chosen(text) => f.write_str(text),
        }
    }
}

impl From<TaskId> for TaskRef {
    fn from(id: TaskId) -> Self {
        Self::Known(id)
    }
}

/// Text that must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// How to authenticate at a webhook (A2A 4.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationInfo {
    /// HTTP scheme, such as `Bearer`.
    pub scheme: String,
    /// What goes with it.
    pub credentials: Option<Secret>,
}

/// A webhook that a client registers (A2A 4.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// Routing label.
    pub tenant: Option<String>,
    /// Name of the config; made by the server when absent.
    pub id: Option<String>,
    /// The task; absent inside of a send.
    pub task: Option<TaskRef>,
    /// Where to deliver: an `http` or `https` URL.
    pub url: String,
    /// Sent along with every delivery.
    pub token: Option<Secret>,
    /// How to authenticate there.
    pub authentication: Option<AuthenticationInfo>,
}

/// Send Message and Send Streaming Message (A2A 3.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// The message of the client: at least one part, role user. `task_id` is `None`; see `target`.
    pub message: Message,
    /// The task that it continues.
    pub target: Option<TaskRef>,
    /// Answer at once instead of waiting for the task; without effect on a stream.
    pub return_immediately: bool,
    /// Most recent messages to show in the answer; `None` for all.
    pub history_length: Option<u32>,
    /// Media types that the client can take; empty for any.
    pub accepted_output_modes: Vec<String>,
    /// Webhook to register for the task.
    pub push_config: Option<PushConfig>,
    /// Metadata of the request, beside that of the message.
    pub metadata: Option<JsonObject>,
}

impl SendRequest {
    /// A message and nothing else.
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

/// Get Task (A2A 3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Which task.
    pub id: TaskRef,
    /// Most recent messages to show; `None` for all.
    pub history_length: Option<u32>,
}

/// List Tasks (A2A 3.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Only tasks of this conversation.
    pub context_id: Option<ContextId>,
    /// Only tasks in this state.
    pub status: Option<TaskState>,
    /// Tasks a page, 1 to [`MAX_PAGE_SIZE`], as asked for.
    pub page_size: Option<u32>,
    /// Where the previous page ended.
    pub page_token: Option<String>,
    /// Most recent messages to show of each task; `None` for all.
    pub history_length: Option<u32>,
    /// Only tasks whose status is of this time or later.
    pub status_timestamp_after: Option<Timestamp>,
    /// Whether artifacts are wanted.
    pub include_artifacts: bool,
}

impl ListRequest {
    /// Tasks a page: as asked for, or [`DEFAULT_PAGE_SIZE`].
    pub fn page_size_or_default(&self) -> u32 {
        self.page_size.unwrap_or(DEFAULT_PAGE_SIZE)
    }
}

/// Cancel Task (A2A 3.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Which task.
    pub id: TaskRef,
    /// Anything else about the request.
    pub metadata: Option<JsonObject>,
}

/// Subscribe to Task (A2A 3.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// Which task.
    pub id: TaskRef,
}

/// Create Push Notification Config (A2A 3.1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfigRequest {
    /// The task.
    pub task: TaskRef,
    /// The webhook.
    pub config: PushConfig,
}

/// Get or Delete Push Notification Config (A2A 3.1.8, 3.1.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRefRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// The task.
    pub task: TaskRef,
    /// Name of the config; empty, before 1.0: the only one that the task has.
    pub id: String,
}

/// List Push Notification Configs (A2A 3.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushListRequest {
    /// Routing label.
    pub tenant: Option<String>,
    /// The task.
    pub task: TaskRef,
    /// Configs a page.
    pub page_size: Option<u32>,
    /// Where the previous page ended.
    pub page_token: Option<String>,
}

/// Get Extended Agent Card (A2A 3.1.11).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedCardRequest {
    /// Routing label.
    pub tenant: Option<String>,
}

/// Any request.
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
    /// The id by which the client knows the task, where it chose that itself.
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

    /// The routing label, when one was given.
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

    #[test]
    fn a_malformed_task_id_is_kept_as_written() {
        assert_eq!(TaskRef::parse("nope"), TaskRef::Malformed("nope".to_owned()));
        let id = "018f2f6e-7b7a-7000-8000-000000000001";
        assert_eq!(TaskRef::parse(id).id().map(|id| id.to_string()).as_deref(), Some(id));
    }
}
