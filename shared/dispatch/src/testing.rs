//! Hints for unit tests.

use longhaul_domain::{AgentName, OwnerId, TaskId, TaskKey};
use uuid::Uuid;

use crate::WakeHint;

/// The name of an agent.
pub(crate) fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

/// A hint for task number `task` of an agent.
pub(crate) fn wake(name: &str, task: u128) -> WakeHint {
    let task = TaskKey { owner: OwnerId(7), task: TaskId::new(Uuid::from_u128(task)) };
    WakeHint { agent: agent(name), task, trace: None }
}
