//! JSON views of the operator API.

use crate::service::operate::OwnedSchedule;
use longhaul_domain::{AgentName, ContextId, Message};
use longhaul_store::{DeadLetter, DeadLetterResolution, MissedRuns, QueueRecord, WorkerRecord};
use longhaul_wire::{
    operator::{DeadLetterView, LastFiring, QueueView, ScheduleView, WorkerView},
    v1::V1,
};

pub fn letter(letter: &DeadLetter) -> DeadLetterView {
    let (redriven_as, dismissed) = match letter.handled {
        Some(DeadLetterResolution::Redriven(task)) => (Some(task.to_string()), None),
        Some(DeadLetterResolution::Dismissed) => (None, Some(true)),
        None => (None, None),
    };
    DeadLetterView {
        agent: letter.agent.as_str().to_owned(),
        at: letter.at,
        attempts: letter.attempts.into(),
        because: letter.because.name().to_owned(),
        cause: letter.cause.clone(),
        context_id: letter.context.as_str().to_owned(),
        dismissed,
        owner: letter.owner_name.clone(),
        redriven_as,
        task_id: letter.key.task.to_string(),
    }
}

pub fn queue(queue: &QueueRecord) -> QueueView {
    let millis = |waited: std::time::Duration| u64::try_from(waited.as_millis());
    QueueView {
        agent: queue.agent.as_str().to_owned(),
        held_back: queue.held_back,
        oldest_ms: queue.oldest.map(|waited| millis(waited).unwrap_or(u64::MAX)),
        ready: queue.ready,
        running: queue.running,
        scheduled: queue.scheduled,
    }
}

pub fn worker(worker: &WorkerRecord) -> WorkerView {
    WorkerView {
        agents: worker.agents.iter().map(AgentName::as_str).map(str::to_owned).collect(),
        id: worker.id.to_string(),
        lease_until: worker.lease_until,
        name: worker.name.clone(),
        running: worker.running,
    }
}

pub fn schedule(owned: &OwnedSchedule) -> ScheduleView<V1<'_, Message>> {
    let OwnedSchedule { owner, schedule } = owned;
    let plan = &schedule.plan;
    let missed = match plan.missed {
        MissedRuns::Skip => "skip",
        MissedRuns::Once => "once",
        MissedRuns::All => "all",
    };
    ScheduleView {
        owner: owner.clone(),
        name: schedule.name.clone(),
        agent: schedule.agent.as_str().to_owned(),
        cron: plan.cron.clone(),
        time_zone: plan.time_zone.clone(),
        missed: missed.to_owned(),
        message: Some(V1(&plan.message)),
        context_id: plan.context.as_ref().map(ContextId::as_str).map(str::to_owned),
        paused: schedule.paused,
        next_at: schedule.next_at,
        last: schedule.last.map(|(at, task)| LastFiring { at, task_id: task.to_string() }),
        revision: schedule.revision,
    }
}
