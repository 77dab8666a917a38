//! JSON views of the operator API.

use crate::{bindings::response::time, service::operate};
use longhaul_domain::{AgentName, ContextId, Message};
use longhaul_store::{DeadLetter, DeadLetterResolution, MissedRuns, QueueRecord, WorkerRecord};
use longhaul_wire::v1::V1;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

pub fn letter(letter: &DeadLetter) -> Value {
    let mut view = json!({
        "taskId": letter.key.task.to_string(),
        "owner": letter.owner_name,
        "agent": letter.agent.as_str(),
        "contextId": letter.context.as_str(),
        "at": time(letter.at),
        "because": letter.because.name(),
        "cause": letter.cause,
        "attempts": letter.attempts,
    });
    match letter.handled {
        Some(DeadLetterResolution::Redriven(task)) => view["redrivenAs"] = json!(task.to_string()),
        Some(DeadLetterResolution::Dismissed) => view["dismissed"] = json!(true),
        None => {}
    }
    view
}

pub fn queue(queue: &QueueRecord) -> Value {
    json!({
        "agent": queue.agent.as_str(),
        "ready": queue.ready,
        "scheduled": queue.scheduled,
        "heldBack": queue.held_back,
        "running": queue.running,
        "oldestMs": queue.oldest.map(|waited| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)),
    })
}

pub fn worker(worker: &WorkerRecord) -> Value {
    json!({
        "id": worker.id.to_string(),
        "name": worker.name,
        "agents": worker.agents.iter().map(AgentName::as_str).collect::<Vec<_>>(),
        "leaseUntil": time(worker.lease_until),
        "running": worker.running,
    })
}

const fn missed(missed: MissedRuns) -> &'static str {
    match missed {
        MissedRuns::Skip => "skip",
        MissedRuns::Once => "once",
        MissedRuns::All => "all",
    }
}

/// View of a schedule.
pub struct ScheduleView<'a>(pub &'a operate::OwnedSchedule);

impl Serialize for ScheduleView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operate::OwnedSchedule { owner, schedule } = self.0;
        let plan = &schedule.plan;
        let mut view = serializer.serialize_map(None)?;
        view.serialize_entry("owner", owner)?;
        view.serialize_entry("name", &schedule.name)?;
        view.serialize_entry("agent", schedule.agent.as_str())?;
        view.serialize_entry("cron", &plan.cron)?;
        view.serialize_entry("timeZone", &plan.time_zone)?;
        view.serialize_entry("missed", missed(plan.missed))?;
        view.serialize_entry::<_, V1<'_, Message>>("message", &V1(&plan.message))?;
        if let Some(context) = plan.context.as_ref().map(ContextId::as_str) {
            view.serialize_entry("contextId", context)?;
        }
        view.serialize_entry("paused", &schedule.paused)?;
        view.serialize_entry("nextAt", &schedule.next_at.map(time))?;
        let last =
            schedule.last.map(|(at, task)| json!({"at": time(at), "taskId": task.to_string()}));
        view.serialize_entry("last", &last)?;
        view.serialize_entry("revision", &schedule.revision)?;
        view.end()
    }
}
