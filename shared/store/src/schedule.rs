//! Schedules: tasks that are created by the clock.
//!
//! The store keeps schedules and lists those that are due. Cron expressions are interpreted by the
//! API node that fires them.

use crate::{AcceptNew, Accepted};
use longhaul_domain::{AgentName, ContextId, Message, OwnerId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A source of recurring tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Owner of its tasks.
    pub owner: OwnerId,
    /// Its name, unique within the owner.
    pub name: String,
    /// Agent of its tasks.
    pub agent: AgentName,
    /// The part that firing does not change.
    pub plan: SchedulePlan,
    /// Next time to fire; `None`: it is paused, or there is no next time.
    pub next_at: Option<Timestamp>,
    /// Set while it is paused.
    pub paused: bool,
    /// Last time that it fired, and the task that it created then.
    pub last: Option<(Timestamp, TaskId)>,
    /// Revision; increases with every change and every firing.
    pub revision: i64,
}

/// The tasks of a schedule and their times. Stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchedulePlan {
    /// A cron expression of five or six fields.
    pub cron: String,
    /// Time zone in which the expression is read, such as `Europe/Berlin`.
    pub time_zone: String,
    /// Policy for times that passed while no node could fire.
    pub missed: MissedRuns,
    /// The message of every task; its id is replaced. Its metadata may hold durability options.
    pub message: Message,
    /// The context of every task; `None`: a new one for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextId>,
}

/// Policy for times that passed while no node could fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedRuns {
    /// Skips missed times.
    Skip,
    /// Creates one task for all missed times.
    #[default]
    Once,
    /// Creates a task for each missed time, for the most recent hundred at most.
    All,
}

/// Schedules that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSchedules {
    /// The due schedules, the longest overdue first.
    pub due: Vec<Schedule>,
    /// The store's time.
    pub now: Timestamp,
    /// Time until the next schedule is due; `None`: no other schedule.
    pub next_in: Option<Duration>,
}

/// Fires a schedule, or skips a missed time of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireSchedule {
    /// The owner.
    pub owner: OwnerId,
    /// The name.
    pub name: String,
    /// The revision that was read. If the stored one differs, another node was first.
    pub revision: i64,
    /// Next time to fire.
    pub next_at: Option<Timestamp>,
    /// The time that is due, and the task to create for it.
    pub task: Option<(Timestamp, AcceptNew)>,
}

/// Outcome of firing a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FireOutcome {
    /// The schedule has advanced. Without a task there is no acceptance.
    Now(Option<Accepted>),
    /// Another node was first, or the schedule was changed or deleted; nothing was done.
    Outdated,
}
