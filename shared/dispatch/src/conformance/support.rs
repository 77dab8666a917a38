//! Names and waits for tests of dispatchers.
#![expect(
    clippy::missing_panics_doc,
    reason = "test support reports failures by panicking with a sentence"
)]

use std::time::Duration;

use longhaul_domain::{AgentName, OwnerId, TaskId, TaskKey};
use uuid::Uuid;

use crate::{Delivery, WakeHint, WakeSource};

/// How long anything may take before a test gives up on it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// An agent's name.
pub fn agent(name: &str) -> AgentName {
    AgentName::new(name).expect("tests use good names")
}

/// A wake-up of task number `task`.
pub fn wake(name: &str, task: u128) -> WakeHint {
    let task = TaskKey { owner: OwnerId(7), task: TaskId::new(Uuid::from_u128(task)) };
    WakeHint { agent: agent(name), task, trace: None }
}

/// The next wake-up of a source, within [`LIMIT`].
pub async fn receive(source: &mut dyn WakeSource) -> Delivery {
    let next = tokio::time::timeout(LIMIT, source.next()).await;
    next.expect("a wake-up arrives in time").expect("the source has not ended")
}

/// Receives and acknowledges until so many hints have come, counting those that were merged; gives their tasks.
pub async fn take_hints(source: &mut dyn WakeSource, hints: u32) -> Vec<TaskKey> {
    let (mut tasks, mut seen) = (Vec::new(), 0);
    while seen < hints {
        let delivery = receive(source).await;
        seen += delivery.hint_count();
        tasks.push(delivery.wake.task);
        delivery.ack();
    }
    assert_eq!(seen, hints, "nothing came twice, nor what was not sent");
    tasks
}

/// Receives and acknowledges.
pub async fn take(source: &mut dyn WakeSource) -> WakeHint {
    let delivery = receive(source).await;
    let wake = delivery.wake.clone();
    delivery.ack();
    wake
}
