//! Schedules, for operators; [`crate::schedules`] fires them.

use super::{OperatorError, Result};
use crate::{
    schedules::{Expression, ExpressionError},
    service::{
        Caller, Service,
        redrive_draft::{RedriveDraft, SINGLE_USE_OPTIONS},
        unknown_agent,
    },
};
use longhaul_domain::{
    AgentName, ContextId, DurabilityOptions, Message, OwnerId, TaskId, Timestamp, bounds,
    extension::DURABILITY_EXTENSION,
};
use longhaul_store::{Accepted, FireOutcome, FireSchedule, MissedRuns, Schedule, SchedulePlan};
use std::collections::HashMap;

/// Longest name of a schedule, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// Longest message of a schedule, in bytes of JSON; it is read at every firing.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// Attempts to fire by hand while others change the schedule.
const MAX_FIRE_ATTEMPTS: usize = 8;

/// Requested values of a schedule.
#[derive(Debug, Clone)]
pub struct ScheduleSpec {
    /// Agent of its tasks.
    pub agent: AgentName,
    /// Cron expression.
    pub cron: String,
    /// Time zone of the expression.
    pub time_zone: String,
    /// Policy for missed times.
    pub missed: MissedRuns,
    /// Message of every task.
    pub message: Message,
    /// Context of every task.
    pub context: Option<ContextId>,
    /// Pauses or resumes it; without it the state stays, and a new schedule is active.
    pub paused: Option<bool>,
}

/// A schedule with the name of its owner.
#[derive(Debug)]
pub struct OwnedSchedule {
    /// Name of the owner.
    pub owner: String,
    /// The schedule.
    pub schedule: Schedule,
}

impl Service {
    /// The schedules of an owner, or of all.
    pub async fn schedules(
        &self,
        caller: &Caller,
        owner: Option<&str>,
    ) -> Result<Vec<OwnedSchedule>> {
        let owner = match owner {
            Some(owner) => Some(self.owner(caller, owner).await?),
            None => None,
        };
        let found = self.store.schedules(owner).await.map_err(|e| caller.refused(&e))?;
        let names = self.owner_names(caller).await?;
        Ok(found.into_iter().map(|schedule| named(&names, schedule)).collect())
    }

    /// One schedule.
    pub async fn schedule(
        &self,
        caller: &Caller,
        owner: &str,
        name: &str,
    ) -> Result<OwnedSchedule> {
        let owner = self.owner(caller, owner).await?;
        let schedule = self.find(caller, owner, name).await?;
        Ok(named(&self.owner_names(caller).await?, schedule))
    }

    /// Creates or replaces a schedule; true when it is new.
    pub async fn put_schedule(
        &self,
        caller: &Caller,
        owner: &str,
        name: &str,
        spec: ScheduleSpec,
    ) -> Result<(OwnedSchedule, bool)> {
        let owner_id = self.owner(caller, owner).await?;
        check_name(name)?;
        check_message(&spec.message)?;
        let agent = self.agents.get(&spec.agent).await.map_err(|e| caller.refused(&e))?;
        if agent.is_none() {
            let all = self.agents.all().await.map_err(|e| caller.refused(&e))?;
            let known: Vec<&str> = all.keys().map(AgentName::as_str).collect();
            let why = unknown_agent(&spec.agent, &known);
            return Err(OperatorError::Invalid(format!("agent: {why}")));
        }
        let known = self.store.schedule(owner_id, name).await.map_err(|e| caller.refused(&e))?;
        let was_paused = known.is_some_and(|known| known.paused);
        let schedule = Schedule {
            owner: owner_id,
            name: name.to_owned(),
            agent: spec.agent,
            plan: SchedulePlan {
                cron: spec.cron,
                time_zone: spec.time_zone,
                missed: spec.missed,
                message: spec.message,
                context: spec.context,
            },
            next_at: None,
            paused: spec.paused.unwrap_or(was_paused),
            last: None,
            revision: 0,
        };
        // A paused schedule is checked, too: it may be resumed.
        self.next_time(&schedule.plan)?;
        let created = self.put(caller, schedule).await?;
        Ok((self.schedule(caller, owner, name).await?, created))
    }

    /// Pauses or resumes a schedule. Times that pass meanwhile are not made up for.
    pub async fn pause_schedule(
        &self,
        caller: &Caller,
        owner: &str,
        name: &str,
        paused: bool,
    ) -> Result<OwnedSchedule> {
        let owner_id = self.owner(caller, owner).await?;
        let schedule = self.find(caller, owner_id, name).await?;
        if schedule.paused != paused {
            self.put(caller, Schedule { paused, ..schedule }).await?;
        }
        self.schedule(caller, owner, name).await
    }

    /// Deletes a schedule; its tasks stay.
    pub async fn delete_schedule(&self, caller: &Caller, owner: &str, name: &str) -> Result<()> {
        let owner = self.owner(caller, owner).await?;
        check_name(name).map_err(|_| unknown())?;
        let deleted = self.store.delete_schedule(owner, name).await;
        if deleted.map_err(|e| caller.refused(&e))? { Ok(()) } else { Err(unknown()) }
    }

    /// Fires a schedule now, beside its regular times.
    pub async fn fire_schedule(&self, caller: &Caller, owner: &str, name: &str) -> Result<TaskId> {
        let owner = self.owner(caller, owner).await?;
        let dedupe_source = format!("schedule {name} by hand {}", self.ids.token());
        for _ in 0..MAX_FIRE_ATTEMPTS {
            let schedule = self.find(caller, owner, name).await?;
            let trace = caller.trace.child(&*self.ids);
            let draft =
                RedriveDraft::from_schedule(&schedule, dedupe_source.clone(), trace.clone());
            let new = self.draft_task(draft).await.map_err(|e| caller.refused(&e))?;
            let (key, agent) = (new.key, new.agent.clone());
            let fire = FireSchedule {
                owner,
                name: name.to_owned(),
                revision: schedule.revision,
                next_at: schedule.next_at,
                task: Some((self.clock.now(), new)),
            };
            match self.store.fire(fire).await.map_err(|e| caller.refused(&e))? {
                FireOutcome::Now(Some(Accepted::Duplicate { task, .. })) => return Ok(task),
                FireOutcome::Now(_) => {
                    self.wake(&trace, &agent, key);
                    return Ok(key.task);
                }
                // Another change came first: read the schedule again.
                FireOutcome::Outdated => {}
            }
        }
        Err(OperatorError::Conflict("the schedule is being changed; try again".to_owned()))
    }

    /// Stores a schedule with its next time; true when it is new.
    async fn put(&self, caller: &Caller, mut schedule: Schedule) -> Result<bool> {
        schedule.next_at =
            if schedule.paused { None } else { Some(self.next_time(&schedule.plan)?) };
        let (name, paused) = (schedule.name.clone(), schedule.paused);
        let created = self.store.put_schedule(schedule).await.map_err(|e| caller.refused(&e))?;
        tracing::info!(request_id = caller.request_id, name, paused, "schedule stored");
        // The firing loop may sleep until a later time.
        self.schedules_changed.notify_one();
        Ok(created)
    }

    fn next_time(&self, plan: &SchedulePlan) -> Result<Timestamp> {
        let next = Expression::parse(&plan.cron, &plan.time_zone)?.next_after(self.clock.now());
        next.ok_or_else(|| {
            OperatorError::Invalid("cron: matches no time; check day and month".to_owned())
        })
    }

    async fn find(&self, caller: &Caller, owner: OwnerId, name: &str) -> Result<Schedule> {
        check_name(name).map_err(|_| unknown())?;
        let found = self.store.schedule(owner, name).await.map_err(|e| caller.refused(&e))?;
        found.ok_or_else(unknown)
    }
}

impl From<ExpressionError> for OperatorError {
    fn from(error: ExpressionError) -> Self {
        Self::Invalid(error.to_string())
    }
}

fn named(names: &HashMap<OwnerId, String>, schedule: Schedule) -> OwnedSchedule {
    let owner = names.get(&schedule.owner).cloned();
    OwnedSchedule { owner: owner.unwrap_or_else(|| schedule.owner.0.to_string()), schedule }
}

fn unknown() -> OperatorError {
    OperatorError::NotFound("there is no schedule of this owner and name".to_owned())
}

fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    // URL handling by clients and proxies gives segments of dots a meaning of their own.
    let begins = !name.starts_with('.');
    if begins && (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(OperatorError::Invalid(format!(
            "the name of a schedule holds 1 to {MAX_NAME_BYTES} letters, digits, dots, hyphens and underscores, and begins with no dot"
        )))
    }
}

/// Refuses a message with which every task would be wrong.
fn check_message(message: &Message) -> Result<()> {
    let metadata = message.metadata.as_ref();
    DurabilityOptions::from_metadata(metadata).map_err(|error| {
        OperatorError::Invalid(format!("message.metadata[\"{DURABILITY_EXTENSION}\"]: {error}"))
    })?;
    let options = metadata.and_then(|metadata| metadata.get(DURABILITY_EXTENSION));
    let given = options.and_then(|options| longhaul_domain::JsonObject::new(options).ok());
    let once = SINGLE_USE_OPTIONS.iter().find(|name| {
        given.as_ref().and_then(|given| given.get(name)).is_some_and(|v| v.as_str() != "null")
    });
    if let Some(name) = once {
        return Err(OperatorError::Invalid(format!(
            "message.metadata[\"{DURABILITY_EXTENSION}\"].{name} holds for one task only; leave it out of a schedule"
        )));
    }
    bounds::check_message(message).map_err(|why| OperatorError::Invalid(why.to_string()))?;
    let size = serde_json::to_string(message).map_or(usize::MAX, |text| text.len());
    if size > MAX_MESSAGE_BYTES {
        return Err(OperatorError::Invalid(format!(
            "message: is larger than {MAX_MESSAGE_BYTES} bytes; give large files by URL"
        )));
    }
    Ok(())
}
