//! Operations of the protocol and their names in each dialect (A2A 5.3).

use longhaul_domain::Scope;

/// Operation that a client can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Send Message (A2A 3.1.1).
    Send,
    /// Send Streaming Message (A2A 3.1.2).
    Stream,
    /// Get Task (A2A 3.1.3).
    Get,
    /// List Tasks (A2A 3.1.4).
    List,
    /// Cancel Task (A2A 3.1.5).
    Cancel,
    /// Subscribe to Task (A2A 3.1.6).
    Subscribe,
    /// Create Push Notification Config (A2A 3.1.7).
    CreatePush,
    /// Get Push Notification Config (A2A 3.1.8).
    GetPush,
    /// List Push Notification Configs (A2A 3.1.9).
    ListPush,
    /// Delete Push Notification Config (A2A 3.1.10).
    DeletePush,
    /// Get Extended Agent Card (A2A 3.1.11).
    ExtendedCard,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 11] = [
        Self::Send,
        Self::Stream,
        Self::Get,
        Self::List,
        Self::Cancel,
        Self::Subscribe,
        Self::CreatePush,
        Self::GetPush,
        Self::ListPush,
        Self::DeletePush,
        Self::ExtendedCard,
    ];

    /// Method name in JSON-RPC and gRPC of 1.0.
    pub const fn v1_method(self) -> &'static str {
        match self {
            Self::Send => "SendMessage",
            Self::Stream => "SendStreamingMessage",
            Self::Get => "GetTask",
            Self::List => "ListTasks",
            Self::Cancel => "CancelTask",
            Self::Subscribe => "SubscribeToTask",
            Self::CreatePush => "CreateTaskPushNotificationConfig",
            Self::GetPush => "GetTaskPushNotificationConfig",
            Self::ListPush => "ListTaskPushNotificationConfigs",
            Self::DeletePush => "DeleteTaskPushNotificationConfig",
            Self::ExtendedCard => "GetExtendedAgentCard",
        }
    }

    /// Method name in JSON-RPC of 0.3.
    pub const fn v03_method(self) -> &'static str {
        match self {
            Self::Send => "message/send",
            Self::Stream => "message/stream",
            Self::Get => "tasks/get",
            Self::List => "tasks/list",
            Self::Cancel => "tasks/cancel",
            Self::Subscribe => "tasks/resubscribe",
            Self::CreatePush => "tasks/pushNotificationConfig/set",
            Self::GetPush => "tasks/pushNotificationConfig/get",
            Self::ListPush => "tasks/pushNotificationConfig/list",
            Self::DeletePush => "tasks/pushNotificationConfig/delete",
            Self::ExtendedCard => "agent/getAuthenticatedExtendedCard",
        }
    }

    /// Method name in 0.1; `None` if 0.1 lacks the operation.
    pub const fn v01_method(self) -> Option<&'static str> {
        match self {
            Self::Send => Some("tasks/send"),
            Self::Stream => Some("tasks/sendSubscribe"),
            Self::Get => Some("tasks/get"),
            Self::Cancel => Some("tasks/cancel"),
            Self::Subscribe => Some("tasks/resubscribe"),
            Self::CreatePush => Some("tasks/pushNotification/set"),
            Self::GetPush => Some("tasks/pushNotification/get"),
            Self::List | Self::ListPush | Self::DeletePush | Self::ExtendedCard => None,
        }
    }

    /// Finds the operation of a 1.0 method.
    pub fn from_v1_method(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.v1_method() == name)
    }

    /// Finds the operation of a 0.3 method.
    pub fn from_v03_method(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.v03_method() == name)
    }

    /// Finds the operation of a 0.1 method.
    pub fn from_v01_method(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.v01_method() == Some(name))
    }

    /// Tells if the response is a stream of events.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::Subscribe)
    }

    /// Scope that the caller needs.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Send | Self::Stream | Self::Cancel | Self::CreatePush | Self::DeletePush => {
                Scope::Write
            }
            Self::Get
            | Self::List
            | Self::Subscribe
            | Self::GetPush
            | Self::ListPush
            | Self::ExtendedCard => Scope::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_to_one_in_each_dialect() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_v1_method(operation.v1_method()), Some(operation));
            assert_eq!(Operation::from_v03_method(operation.v03_method()), Some(operation));
            assert_eq!(Operation::from_v1_method(operation.v03_method()), None);
            if let Some(name) = operation.v01_method() {
                assert_eq!(Operation::from_v01_method(name), Some(operation));
                let shared = Operation::from_v03_method(name);
                assert!(shared.is_none() || shared == Some(operation), "{name}");
            }
        }
    }
}
