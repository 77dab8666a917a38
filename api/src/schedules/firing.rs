//! The loop that fires due schedules.
//!
//! No error ends it. A store that is unavailable is asked again; a schedule that cannot be fired is
//! skipped until its next time; one that fails for now backs off while others are fired.

use super::{Expression, backoff::FiringBackoffs, due::due_times};
use crate::service::{RedriveDraft, Service};
use longhaul_domain::Timestamp;
use longhaul_runtime::{Backoff, TaskSet, TraceContext};
use longhaul_store::{Accepted, FireOutcome, FireSchedule, Result, Schedule, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Longest time between two passes, for changes made at other nodes; and shortest while something
/// cannot be fired.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);
const MIN_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Interval at which every schedule is checked for a next time that cannot be right.
const OVERLOOKED_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Delay before the next pass after something was fired: there may be more, and fired schedules
/// have a new time.
const REPOLL_DELAY: Duration = Duration::from_millis(20);

/// Schedules taken per pass, beside those that back off.
const MAX_DUE_PER_PASS: u32 = 100;

/// Transient failures in a row after which the store is taken to be unavailable.
const MAX_FAILED_IN_A_ROW: u32 = 3;

/// Starts the loop; it ends when the node drains.
pub fn start(service: &Arc<Service>, tasks: &TaskSet) {
    let (service, stop) = (Arc::clone(service), tasks.stopping().clone());
    tasks.spawn("fire-schedules", async move {
        stop.run_until_cancelled(run(&service)).await;
    });
}

async fn run(service: &Service) {
    let (mut failures, mut backoffs) = (0, FiringBackoffs::default());
    let mut checked: Option<Instant> = None;
    while !service.draining.is_cancelled() {
        let work = async {
            if checked.is_none_or(|at| at.elapsed() >= OVERLOOKED_CHECK_INTERVAL) {
                reschedule_overlooked(service).await?;
                checked = Some(Instant::now());
            }
            fire_due(service, &mut backoffs).await
        };
        let wait = match work.await {
            Ok(wait) => {
                failures = 0;
                wait
            }
            Err(error) => {
                tracing::warn!(%error, "schedule pass failed");
                let wait = Backoff::DATABASE.random_delay(failures);
                failures = failures.saturating_add(1);
                wait.max(MIN_RETRY_INTERVAL)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = service.schedules_changed.notified() => {}
            () = service.draining.cancelled() => {}
        }
    }
}

/// Reschedules schedules whose next time is too far ahead: it was set when a clock was wrong (the
/// store's, or this node's when the schedule was made), or under other rules of the time zone.
async fn reschedule_overlooked(service: &Service) -> Result<()> {
    let now = service.store.due_schedules(1).await?.now;
    for schedule in service.store.schedules(None).await? {
        let Some(next) = overlooked_time(&schedule, now) else { continue };
        tracing::warn!(name = schedule.name, next = %next, "schedule overlooked: next time too far ahead");
        match step(service, &schedule, schedule.revision, None, Some(next)).await {
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tracing::error!(%error, name = schedule.name, "schedule cannot be rescheduled");
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// A time before `next_at` that the schedule would miss.
fn overlooked_time(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    if schedule.paused {
        return None;
    }
    let next = expression(schedule).ok()?.next_after(now)?;
    // A clock that was set back slightly may stand before a time that was fired.
    let was_fired = schedule.last.is_some_and(|(last, _)| last == next);
    (!was_fired && schedule.next_at.is_none_or(|at| at > next)).then_some(next)
}

/// Fires everything due once. Returns the time until the next pass.
async fn fire_due(service: &Service, backoffs: &mut FiringBackoffs) -> Result<Duration> {
    // Schedules that back off are the longest overdue; without this they would fill the batch.
    let limit = MAX_DUE_PER_PASS.saturating_add(backoffs.len());
    let found = service.store.due_schedules(limit).await?;
    let mut pass = FiringPass::new(backoffs);
    for schedule in &found.due {
        if service.draining.is_cancelled() {
            break;
        }
        if !pass.is_skipped(schedule) {
            let fired = fire_or_skip(service, schedule, found.now).await;
            pass.record(schedule, fired)?;
        }
    }
    let fired = pass.fired;
    let retry = backoffs.next_in().map_or(MAX_POLL_INTERVAL, |retry| retry.max(MIN_RETRY_INTERVAL));
    Ok(match found.next_in {
        // There may be more than fitted into the batch.
        _ if fired > 0 => REPOLL_DELAY,
        Some(next) => next.min(MAX_POLL_INTERVAL).min(retry),
        None => MAX_POLL_INTERVAL.min(retry),
    })
}

/// One pass over the due schedules.
struct FiringPass<'a> {
    backoffs: &'a mut FiringBackoffs,
    fired: usize,
    failed_in_a_row: u32,
}

impl<'a> FiringPass<'a> {
    const fn new(backoffs: &'a mut FiringBackoffs) -> Self {
        Self { backoffs, fired: 0, failed_in_a_row: 0 }
    }

    /// True while a schedule backs off.
    fn is_skipped(&self, schedule: &Schedule) -> bool {
        self.backoffs.is_backing_off(schedule, Instant::now())
    }

    /// Records the result for a schedule; a failed one backs off. Fails once so many in a row have
    /// failed that the store is taken to be unavailable.
    fn record(&mut self, schedule: &Schedule, fired: Result<()>) -> Result<()> {
        let Err(error) = fired else {
            self.backoffs.record_success(schedule);
            (self.fired, self.failed_in_a_row) = (self.fired + 1, 0);
            return Ok(());
        };
        tracing::warn!(%error, owner = schedule.owner.0, name = schedule.name, "schedule firing failed");
        self.backoffs.record_failure(schedule, Instant::now());
        self.failed_in_a_row += 1;
        if self.failed_in_a_row >= MAX_FAILED_IN_A_ROW { Err(error) } else { Ok(()) }
    }
}

/// Fires a schedule; one that cannot be fired at all is skipped until its next time.
async fn fire_or_skip(service: &Service, schedule: &Schedule, now: Timestamp) -> Result<()> {
    match fire(service, schedule, now).await {
        Err(error) if !error.is_transient() => {
            tracing::error!(%error, owner = schedule.owner.0, name = schedule.name, "schedule skipped: cannot be fired");
            skip_to_next(service, schedule, now).await
        }
        fired => fired,
    }
}

/// Fires the due times of one schedule, each in its own transaction: times left by a node that dies
/// are still due.
async fn fire(service: &Service, schedule: &Schedule, now: Timestamp) -> Result<()> {
    let Some(next_at) = schedule.next_at.filter(|at| *at <= now) else { return Ok(()) };
    let expression = expression(schedule)?;
    let after = expression.next_after(now);
    let times = due_times(&expression, schedule.plan.missed, next_at, now);
    if times.is_empty() {
        return step(service, schedule, schedule.revision, None, after).await.map(drop);
    }
    let following = times.iter().skip(1).copied().map(Some).chain([after]);
    // Each committed step raises the revision by one.
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

/// One step: a task for one time, or none, and the next time. `false` when another node was first.
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
        let dedupe_source = format!("schedule {} at {}", schedule.name, at.timestamp());
        task = Some((
            at,
            service
                .draft_task(RedriveDraft::from_schedule(schedule, dedupe_source, trace.clone()))
                .await?,
        ));
    }
    let created = task.as_ref().map(|(_, new)| (new.key, new.agent.clone()));
    let (owner, name) = (schedule.owner, schedule.name.clone());
    // The revision guards the step: a node that was faster has raised it.
    match service.store.fire(FireSchedule { owner, name, revision, next_at, task }).await? {
        FireOutcome::Outdated => Ok(false),
        FireOutcome::Now(accepted) => {
            if let (Some((key, agent)), Some(Accepted::Created { .. })) = (created, accepted) {
                // After the commit: a worker that is woken must find the task.
                service.wake(&trace, &agent, key);
                tracing::debug!(task_id = %key.task, schedule = schedule.name, "schedule fired");
            }
            Ok(true)
        }
    }
}

/// Moves a schedule that cannot be fired to its next time; without one, it stops.
async fn skip_to_next(service: &Service, schedule: &Schedule, now: Timestamp) -> Result<()> {
    let next = expression(schedule).ok().and_then(|expression| expression.next_after(now));
    step(service, schedule, schedule.revision, None, next).await.map(drop)
}

fn expression(schedule: &Schedule) -> Result<Expression> {
    Expression::parse(&schedule.plan.cron, &schedule.plan.time_zone)
        .map_err(|error| StoreError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests;
