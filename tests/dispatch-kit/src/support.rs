//! Agents, hints and waits for tests of dispatchers.
#![expect(clippy::missing_panics_doc, reason = "test support reports failures by panics")]

use std::time::Duration;

use longhaul_dispatch::{Delivery, WakeHint, WakeSource};
use longhaul_domain::{AgentName, OwnerId, TaskId, TaskKey};
use uuid::Uuid;

/// Maximum time of every wait before the test fails.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The name of an agent.
pub fn agent(name: &str) -> AgentName {
    AgentName::new(name).expect("tests use good names")
}

/// A hint for task number `task` of an agent.
pub fn wake(name: &str, task: u128) -> WakeHint {
    let task = TaskKey { owner: OwnerId(7), task: TaskId::new(Uuid::from_u128(task)) };
    WakeHint { agent: agent(name), task, trace: None }
}

/// Receives the next hint of a source, within [`WAIT_TIMEOUT`].
pub async fn receive(source: &mut dyn WakeSource) -> Delivery {
    let next = tokio::time::timeout(WAIT_TIMEOUT, source.next()).await;
    next.expect("a hint arrives in time").expect("the source has not ended")
}

/// Receives and acknowledges this number of hints, coalesced ones included; returns their tasks.
pub async fn take_hints(source: &mut dyn WakeSource, hints: u32) -> Vec<TaskKey> {
    let (mut tasks, mut seen) = (Vec::new(), 0);
    while seen < hints {
        let delivery = receive(source).await;
        seen += delivery.hint_count();
        tasks.push(delivery.wake.task);
        delivery.ack();
    }
    assert_eq!(seen, hints, "no duplicate and no other hint arrived");
    tasks
}

/// Receives and acknowledges a hint.
pub async fn take(source: &mut dyn WakeSource) -> WakeHint {
    let delivery = receive(source).await;
    let wake = delivery.wake.clone();
    delivery.ack();
    wake
}
