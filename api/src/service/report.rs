//! How tasks are run, told to clients that have activated the durability extension. One read for all tasks of an answer;
//! without the extension a snapshot is what its events fold to, and nothing else.

use super::{Caller, Result, Service};
use longhaul_domain::{AgentName, Task, Timestamp};
use longhaul_store::{QueuePosition, RunDetails};
use longhaul_wire::{QueueStanding, RunReport};

impl Service {
    /// Adds to the metadata of tasks how they are run.
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

/// The facts about a run, as clients read them.
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
    fn a_task_stands_where_its_time_says() {
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
