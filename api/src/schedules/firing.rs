//! The loop that fires what is due. No error ends it: a store that does not answer is asked again, a schedule that cannot be
//! fired is passed over until its next time, and one that fails for now rests while those behind it are fired.

mod resting;

use super::{Expression, due};
use crate::service::{Draft, Service};
use longhaul_domain::{Timestamp, log::UserMessage};
use longhaul_runtime::{Backoff, TaskSet, TraceContext};
use longhaul_store::{Accepted, FireOutcome, FireSchedule, Result, Schedule, StoreError};
use resting::Resting;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often is looked at least, for what other nodes were told; and at most while something cannot be fired.
const LOOK: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_millis(200);

/// Interval at which every schedule is checked for a next time that cannot be right.
const CHECK: Duration = Duration::from_secs(60);

/// How soon is looked again after something was due: there may be more, and what was fired has a new time.
const AGAIN: Duration = Duration::from_millis(20);

/// How many schedules are taken at once, beside those that rest.
const BATCH: u32 = 100;

/// After so many schedules in a row that fail for now, the store is taken to be away.
const MAX_FAILED_IN_A_ROW: u32 = 3;

/// Starts the loop; it ends when the node drains.
pub fn start(service: &Arc<Service>, tasks: &TaskSet) {
    let (service, stop) = (Arc::clone(service), tasks.stopping().clone());
    tasks.spawn("fire-schedules", async move {
        stop.run_until_cancelled(run(&service)).await;
    });
}

async fn run(service: &Service) {
    let (mut failures, mut resting) = (0, Resting::default());
    let mut checked: Option<Instant> = None;
    while !service.draining.is_cancelled() {
        let work = async {
            if checked.is_none_or(|at| at.elapsed() >= CHECK) {
                wake_silent(service).await?;
                checked = Some(Instant::now());
            }
            look(service, &mut resting).await
        };
        let wait = match work.await {
            Ok(wait) => {
                failures = 0;
                wait
            }
            Err(error) => {
                tracing::warn!(%error, "cannot fire schedules yet");
                let wait = Backoff::DATABASE.random_delay(failures);
                failures = failures.saturating_add(1);
                wait.max(REST)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = service.schedules_changed.notified() => {}
            () = service.draining.cancelled() => {}
        }
    }
}

/// Brings back schedules whose next time lies further ahead than it can: it was set when a clock was wrong (the store's, or
/// this node's when the schedule was made), or by other rules of the time zone.
async fn wake_silent(service: &Service) -> Result<()> {
    let now = service.store.due_schedules(1).await?.now;
    for schedule in service.store.schedules(None).await? {
        let Some(next) = overlooked(&schedule, now) else { continue };
        tracing::warn!(name = schedule.name, next = %next, "schedule was silent: its next time was too far ahead");
        match step(service, &schedule, schedule.revision, None, Some(next)).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::error!(%error, name = schedule.name, "a schedule cannot be brought back");
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The time that a schedule would miss.
fn overlooked(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    if schedule.paused {
        return None;
    }
    let next = expression(schedule).ok()?.next_after(now)?;
    // A clock that was set back by a moment stands before a time that was fired.
    let was_fired = schedule.last.is_some_and(|(last, _)| last == next);
    (!was_fired && schedule.next_at.is_none_or(|at| at > next)).then_some(next)
}

/// Fires what is due, once. Gives how long to wait before the next look.
async fn look(service: &Service, resting: &mut Resting) -> Result<Duration> {
    // Those that rest are the longest overdue, and must not fill the batch.
    let limit = BATCH.saturating_add(resting.len());
    let found = service.store.due_schedules(limit).await?;
    let mut round = Round::new(resting);
    for schedule in &found.due {
        if service.draining.is_cancelled() {
            break;
        }
        if !round.skips(schedule) {
            let fired = fire_or_pass_over(service, schedule, found.now).await;
            round.note(schedule, fired)?;
        }
    }
    let fired = round.fired;
    let rested = resting.next_in().map_or(LOOK, |rested| rested.max(REST));
    Ok(match found.next_in {
        _ if fired > 0 => AGAIN,
        Some(next) => next.min(LOOK).min(rested),
        None => LOOK.min(rested),
    })
}

/// One round over what is due.
struct Round<'a> {
    resting: &'a mut Resting,
    fired: usize,
    failed_in_a_row: u32,
}

impl<'a> Round<'a> {
    const fn new(resting: &'a mut Resting) -> Self {
        Self { resting, fired: 0, failed_in_a_row: 0 }
    }

    /// Whether a schedule rests.
    fn skips(&self, schedule: &Schedule) -> bool {
        self.resting.rests(schedule, Instant::now())
    }

    /// Takes note of what became of a schedule. One that failed rests for a while; an error: so many have failed that the store is
    /// taken to be away.
    fn note(&mut self, schedule: &Schedule, fired: Result<()>) -> Result<()> {
        let Err(error) = fired else {
            self.resting.forget(schedule);
            (self.fired, self.failed_in_a_row) = (self.fired + 1, 0);
            return Ok(());
        };
        tracing::warn!(%error, owner = schedule.owner.0, name = schedule.name, "schedule cannot be fired yet");
        self.resting.rest(schedule, Instant::now());
        self.failed_in_a_row += 1;
        if self.failed_in_a_row >= MAX_FAILED_IN_A_ROW { Err(error) } else { Ok(()) }
    }
}

/// Fires a schedule; one that cannot be fired at all is passed over until its next time.
async fn fire_or_pass_over(service: &Service, schedule: &Schedule, now: Timestamp) -> Result<()> {
    match fire(service, schedule, now).await {
        Err(error) if !error.is_transient() => {
            tracing::error!(%error, owner = schedule.owner.0, name = schedule.name, "schedule passed over: cannot be fired");
            pass_over(service, schedule, now).await
        }
        fired => fired,
    }
}

/// Fires the times of one schedule that count, each in a step of its own: what a node that dies leaves is still due.
async fn fire(service: &Service, schedule: &Schedule, now: Timestamp) -> Result<()> {
    let Some(next_at) = schedule.next_at.filter(|at| *at <= now) else { return Ok(()) };
    let expression = expression(schedule)?;
    let after = expression.next_after(now);
    let times = due::times(&expression, schedule.plan.missed, next_at, now);
    if times.is_empty() {
        return step(service, schedule, schedule.revision, None, after).await.map(drop);
    }
    let following = times.iter().skip(1).copied().map(Some).chain([after]);
    // Each step that is done raises the revision by one.
    for ((at, next), revision) in times.iter().zip(following).zip(schedule.revision..) {
        if !step(service, schedule, revision, Some(*at), next).await? {
            return Ok(());
        }
        if service.draining.is_cancelled() {
            return Ok(());
        }
    }
    Ok(())
}

/// One step: a task for one time, or none, and the next time. `false`: somebody else was first.
async fn step(
    service: &Service,
    schedule: &Schedule,
    revision: i64,
    at: Option<Timestamp>,
    next_at: Option<Timestamp>,
) -> Result<bool> {
    let trace = TraceContext::new_root(&*service.ids);
    let mut task = None;
    if let Some(at) = at {
        let stands_for = format!("schedule {} at {}", schedule.name, at.timestamp());
        task = Some((at, service.begin(draft(schedule, stands_for, trace.clone())).await?));
    }
    let made = task.as_ref().map(|(_, new)| (new.key, new.agent.clone()));
    let (owner, name) = (schedule.owner, schedule.name.clone());
    match service.store.fire(FireSchedule { owner, name, revision, next_at, task }).await? {
        FireOutcome::Outdated => Ok(false),
        FireOutcome::Now(accepted) => {
            if let (Some((key, agent)), Some(Accepted::Created { .. })) = (made, accepted) {
                service.wake(&trace, &agent, key);
                tracing::debug!(task_id = %key.task, schedule = schedule.name, "fired");
            }
            Ok(true)
        }
    }
}

/// Gives a schedule that cannot be fired its next time, or rest where that cannot be told.
async fn pass_over(service: &Service, schedule: &Schedule, now: Timestamp) -> Result<()> {
    let next = expression(schedule).ok().and_then(|expression| expression.next_after(now));
    step(service, schedule, schedule.revision, None, next).await.map(drop)
}

fn expression(schedule: &Schedule) -> Result<Expression> {
    Expression::parse(&schedule.plan.cron, &schedule.plan.time_zone)
        .map_err(|error| StoreError::Refused(error.to_string()))
}

/// What a task of a schedule is made from.
pub fn draft(schedule: &Schedule, stands_for: String, trace: TraceContext) -> Draft {
    Draft {
        owner: schedule.owner,
        agent: schedule.agent.clone(),
        context: schedule.plan.context.clone(),
        said: UserMessage::new(schedule.plan.message.clone()),
        stands_for,
        trace,
    }
}

#[cfg(test)]
mod tests;
