//! Limits of an agent: running tasks, queued tasks, and time.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of an agent across all workers and nodes. Absent: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentLimits {
    /// Limits on running tasks.
    #[serde(flatten)]
    pub running: ConcurrencyLimits,
    /// Maximum number of queued tasks; further ones are rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<u32>,
    /// Maximum number of queued tasks per owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_per_owner: Option<u32>,
    /// Milliseconds that a runnable task may wait for its first start, unless its message sets
    /// another limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// Milliseconds from acceptance (or from `notBefore`) to the end of a task, unless its message
    /// sets a deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
}

/// Limits on concurrent runs of an agent, across all workers. Absent: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConcurrencyLimits {
    /// Maximum number of runs.
    #[serde(rename = "running", skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
    /// Maximum number of runs per owner.
    #[serde(rename = "runningPerOwner", skip_serializing_if = "Option::is_none")]
    pub per_owner: Option<u32>,
    /// Maximum number of runs per owner and concurrency key. Tasks without a key are exempt.
    #[serde(rename = "runningPerKey", skip_serializing_if = "Option::is_none")]
    pub per_key: Option<u32>,
}

impl ConcurrencyLimits {
    /// No limit.
    pub const NONE: Self = Self { total: None, per_owner: None, per_key: None };

    /// Tells whether there is no limit.
    pub const fn is_none(&self) -> bool {
        self.total.is_none() && self.per_owner.is_none() && self.per_key.is_none()
    }
}

impl AgentLimits {
    /// Maximum wait of a runnable task for its first start.
    pub fn queue_timeout(&self) -> Option<Duration> {
        self.queue_timeout_ms.map(Duration::from_millis)
    }
    /// Maximum time from acceptance, or from `notBefore`, to the end of a task.
    pub fn total_timeout(&self) -> Option<Duration> {
        self.total_timeout_ms.map(Duration::from_millis)
    }
    /// Tells whether there is no limit.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_stored_as_one_flat_object_without_absent_ones() {
        let limits = AgentLimits {
            running: ConcurrencyLimits { per_key: Some(1), ..ConcurrencyLimits::NONE },
            queued: Some(5),
            ..AgentLimits::default()
        };
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(text, r#"{"runningPerKey":1,"queued":5}"#);
        assert_eq!(serde_json::from_str::<AgentLimits>(&text).unwrap(), limits);
        assert!(serde_json::from_str::<AgentLimits>("{}").unwrap().is_none());
    }
}
