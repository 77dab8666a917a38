//! Limits of an agent: how much may run, how much may wait, and for how long.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What an agent allows, over all workers and nodes together. Absent: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentLimits {
    /// How many of its tasks run at once.
    #[serde(flatten)]
    pub running: ConcurrencyLimits,
    /// How many of its tasks may wait in the queue; more are turned away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<u32>,
    /// The same for each owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_per_owner: Option<u32>,
    /// Milliseconds that a task may wait for its first start after it became runnable, where its message does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// Milliseconds from acceptance (or the time before which it must not start) to the end of a task, where its message does
    /// not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
}

/// How many runs may be under way at once, over all workers. Absent: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConcurrencyLimits {
    /// Of the agent.
    #[serde(rename = "running", skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
    /// Of the agent, for each owner.
    #[serde(rename = "runningPerOwner", skip_serializing_if = "Option::is_none")]
    pub per_owner: Option<u32>,
    /// Of the agent, for each owner and concurrency key. A task without a key is not limited by it.
    #[serde(rename = "runningPerKey", skip_serializing_if = "Option::is_none")]
    pub per_key: Option<u32>,
}

impl ConcurrencyLimits {
    /// No limit at all.
    pub const NONE: Self = Self { total: None, per_owner: None, per_key: None };

    /// Whether nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.total.is_none() && self.per_owner.is_none() && self.per_key.is_none()
    }
}

impl AgentLimits {
    /// How long a task may wait for its first start.
    pub fn queue_timeout(&self) -> Option<Duration> {
        self.queue_timeout_ms.map(Duration::from_millis)
    }
    /// How long a task may take from acceptance, or the time before which it must not start, to its end.
    pub fn total_timeout(&self) -> Option<Duration> {
        self.total_timeout_ms.map(Duration::from_millis)
    }
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_one_flat_object_and_absent_ones_are_left_out() {
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
