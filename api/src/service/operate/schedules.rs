//! Schedules: tasks that are made by the clock. When they fire is the business of [`crate::schedules`].

use super::{Refusal, Result};
use crate::{
    schedules::{Expression, ExpressionError, draft},
    service::{Caller, Service, again::PAST, unknown_agent},
};
use longhaul_domain::{
    AgentName, ContextId, DurabilityOptions, Message, OwnerId, TaskId, Timestamp, bounds,
    extension::DURABILITY_EXTENSION,
};
use longhaul_store::{Accepted, FireOutcome, FireSchedule, MissedRuns, Schedule, SchedulePlan};
use std::collections::HashMap;

/// Longest name of a schedule, in bytes.
const MAX_NAME: usize = 100;

/// Longest message of a schedule, in bytes of JSON: it is read whenever the schedule fires.
const MAX_MESSAGE: usize = 256 << 10;

/// How often a firing is tried again because somebody changed the schedule meanwhile.
const TRIES: usize = 8;

/// A schedule as it is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who does the tasks.
    pub agent: AgentName,
    /// When, as a cron expression.
    pub cron: String,
    /// In which time zone.
    pub time_zone: String,
    /// What happens to times that were missed.
    pub missed: MissedRuns,
    /// The message of every task.
    pub message: Message,
    /// The conversation of every task.
    pub context: Option<ContextId>,
    /// Whether it rests; none: as it is, and a new one does not.
    pub paused: Option<bool>,
}

/// A schedule with the name of its owner.
#[derive(Debug)]
pub struct Planned {
    /// Name of the owner.
    pub owner: String,
    /// The schedule.
    pub schedule: Schedule,
}

impl Service {
    /// The schedules of an owner, or of all.
    pub async fn schedules(&self, caller: &Caller, owner: Option<&str>) -> Result<Vec<Planned>> {
        let owner = match owner {
            Some(owner) => Some(self.owner(caller, owner).await?),
            None => None,
        };
        let found = self.store.schedules(owner).await.map_err(|e| caller.refused(&e))?;
        let names = self.owner_names(caller).await?;
        Ok(found.into_iter().map(|schedule| named(&names, schedule)).collect())
    }

    /// One schedule.
    pub async fn schedule(&self, caller: &Caller, owner: &str, name: &str) -> Result<Planned> {
        let owner = self.owner(caller, owner).await?;
        let schedule = self.find(caller, owner, name).await?;
        Ok(named(&self.owner_names(caller).await?, schedule))
    }

    /// Creates or changes a schedule. Says whether it is new.
    pub async fn put_schedule(
        &self,
        caller: &Caller,
        owner: &str,
        name: &str,
        wanted: Wanted,
    ) -> Result<(Planned, bool)> {
        let owner_id = self.owner(caller, owner).await?;
        check_name(name)?;
        check_message(&wanted.message)?;
        let agent = self.agents.get(&wanted.agent).await.map_err(|e| caller.refused(&e))?;
        if agent.is_none() {
            let all = self.agents.all().await.map_err(|e| caller.refused(&e))?;
            let known: Vec<&str> = all.keys().map(AgentName::as_str).collect();
            let why = unknown_agent(&wanted.agent, &known);
            return Err(Refusal::Invalid(format!("agent: {why}")));
        }
        let known = self.store.schedule(owner_id, name).await.map_err(|e| caller.refused(&e))?;
        let was_paused = known.is_some_and(|known| known.paused);
        let schedule = Schedule {
            owner: owner_id,
            name: name.to_owned(),
            agent: wanted.agent,
            plan: SchedulePlan {
                cron: wanted.cron,
                time_zone: wanted.time_zone,
                missed: wanted.missed,
                message: wanted.message,
                context: wanted.context,
            },
            next_at: None,
            paused: wanted.paused.unwrap_or(was_paused),
            last: None,
            revision: 0,
        };
        // Also of one that rests: it is to go on some day.
        self.next_time(&schedule.plan)?;
        let created = self.put(caller, schedule).await?;
        Ok((self.schedule(caller, owner, name).await?, created))
    }

    /// Pauses a schedule, or lets it go on; times that pass while it rests are not made up for.
    pub async fn pause_schedule(
        &self,
        caller: &Caller,
        owner: &str,
        name: &str,
        paused: bool,
    ) -> Result<Planned> {
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

    /// Makes a task of a schedule now, besides those that the clock makes.
    pub async fn fire_schedule(&self, caller: &Caller, owner: &str, name: &str) -> Result<TaskId> {
        let owner = self.owner(caller, owner).await?;
        let stands_for = format!("schedule {name} by hand {}", self.ids.token());
        for _ in 0..TRIES {
            let schedule = self.find(caller, owner, name).await?;
            let trace = caller.trace.child(&*self.ids);
            let draft = draft(&schedule, stands_for.clone(), trace.clone());
            let new = self.begin(draft).await.map_err(|e| caller.refused(&e))?;
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
                FireOutcome::Outdated => {}
            }
        }
        Err(Refusal::Conflict("the schedule is being changed; try again".to_owned()))
    }

    /// Stores a schedule with its next time. Says whether it is new.
    async fn put(&self, caller: &Caller, mut schedule: Schedule) -> Result<bool> {
        schedule.next_at =
            if schedule.paused { None } else { Some(self.next_time(&schedule.plan)?) };
        let (name, paused) = (schedule.name.clone(), schedule.paused);
        let created = self.store.put_schedule(schedule).await.map_err(|e| caller.refused(&e))?;
        tracing::info!(request_id = caller.request_id, name, paused, "a schedule was put");
        self.schedules_changed.notify_one();
        Ok(created)
    }

    fn next_time(&self, plan: &SchedulePlan) -> Result<Timestamp> {
        let next = Expression::parse(&plan.cron, &plan.time_zone)?.next_after(self.clock.now());
        next.ok_or_else(|| {
            Refusal::Invalid("cron: matches no time; check day and month".to_owned())
        })
    }

    async fn find(&self, caller: &Caller, owner: OwnerId, name: &str) -> Result<Schedule> {
        check_name(name).map_err(|_| unknown())?;
        let found = self.store.schedule(owner, name).await.map_err(|e| caller.refused(&e))?;
        found.ok_or_else(unknown)
    }
}

impl From<ExpressionError> for Refusal {
    fn from(error: ExpressionError) -> Self {
        Self::Invalid(error.to_string())
    }
}

fn named(names: &HashMap<OwnerId, String>, schedule: Schedule) -> Planned {
    let owner = names.get(&schedule.owner).cloned();
    Planned { owner: owner.unwrap_or_else(|| schedule.owner.0.to_string()), schedule }
}

fn unknown() -> Refusal {
    Refusal::NotFound("there is no schedule of this owner and name".to_owned())
}

fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    // A path segment of a dot alone means another place to whoever writes or passes on a URL.
    let begins = !name.starts_with('.');
    if begins && (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(Refusal::Invalid(format!(
            "the name of a schedule holds 1 to {MAX_NAME} letters, digits, dots, hyphens and underscores, and begins with no dot"
        )))
    }
}

/// Refuses a message of which every task would be wrong.
fn check_message(message: &Message) -> Result<()> {
    let metadata = message.metadata.as_ref();
    DurabilityOptions::read(metadata).map_err(|error| {
        Refusal::Invalid(format!("message.metadata[\"{DURABILITY_EXTENSION}\"]: {error}"))
    })?;
    let options = metadata.and_then(|metadata| metadata.get(DURABILITY_EXTENSION));
    let given = options.and_then(|options| longhaul_domain::JsonObject::new(options).ok());
    let once = PAST.iter().find(|name| {
        given.as_ref().and_then(|given| given.get(name)).is_some_and(|v| v.as_str() != "null")
    });
    if let Some(name) = once {
        return Err(Refusal::Invalid(format!(
            "message.metadata[\"{DURABILITY_EXTENSION}\"].{name} holds for one task only; leave it out of a schedule"
        )));
    }
    bounds::check_message(message).map_err(|why| Refusal::Invalid(why.to_string()))?;
    let size = serde_json::to_string(message).map_or(usize::MAX, |text| text.len());
    if size > MAX_MESSAGE {
        return Err(Refusal::Invalid(format!(
            "message: is larger than {MAX_MESSAGE} bytes; give large files by URL"
        )));
    }
    Ok(())
}
