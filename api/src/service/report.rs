//! Run reports for clients that have activated the durability extension; one read for all tasks of
//! a response.
//!
//! Without the extension a snapshot is exactly what its events fold to.

use super::{Caller, Result, Service};
use longhaul_domain::{AgentName, Task, Timestamp};
use longhaul_store::{QueuePosition, RunDetails};
use longhaul_wire::{QueueStanding, RunReport};

impl Service {
    /// Adds run reports to the metadata of tasks.
    pub(super) async fn report(&self, caller: &Caller, tasks: &mut [Task]) -> Result<()> {
        if !caller.extensions.durability || tasks.is_empty() {
            return Ok(());
        }
        let keys = tasks.iter().map(|task| task.key).collect();
        let facts = self.store.run_details(keys).await.map_err(|e| caller.failed(&e))?;
        let now = self.clock.now();
        for task in tasks {
            if let Some(facts) = facts.get(&task.key) {
                task.metadata = report(facts, &task.agent, now).add_to(task.metadata.as_ref());
            }
        }
        Ok(())
    }
}

/// Report on a run, as clients read it.
pub(super) fn report(facts: &RunDetails, agent: &AgentName, now: Timestamp) -> RunReport {
    RunReport {
        agent: agent.clone(),
        attempt: facts.attempt,
        priority: facts.priority,
        deadline: facts.deadline,
        queue: facts.queue.as_ref().map(|queue| (standing(queue, now), queue.run_at)),
        losses: facts.queue.as_ref().map_or(0, |queue| queue.losses),
    }
}

fn standing(queue: &QueuePosition, now: Timestamp) -> QueueStanding {
    if queue.running {
        return QueueStanding::Running;
    }
    match (now - queue.run_at).num_milliseconds() {
        waited @ 0.. => QueueStanding::Queued { ms: waited.unsigned_abs() },
        _ => QueueStanding::Scheduled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn the_queue_standing_follows_the_run_time() {
        let now = Timestamp::UNIX_EPOCH;
        let queued = |running, seconds| {
            let run_at = now + TimeDelta::seconds(seconds);
            standing(&QueuePosition { running, run_at, losses: 0 }, now)
        };
        assert_eq!(queued(false, -2), QueueStanding::Queued { ms: 2_000 });
        assert_eq!(queued(false, 2), QueueStanding::Scheduled);
        assert_eq!(queued(true, -2), QueueStanding::Running);
    }
}
