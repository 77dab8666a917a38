//! Schedules: tasks that are made by the clock.
//!
//! The store keeps them and says which are due; what a cron expression means is the business of whoever fires them.

use crate::{AcceptNew, Accepted};
use longhaul_domain::{AgentName, ContextId, Message, OwnerId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What makes a task again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Whose tasks they are.
    pub owner: OwnerId,
    /// Its name, unique within the owner.
    pub name: String,
    /// Who does them.
    pub agent: AgentName,
    /// What does not change when it fires.
    pub plan: SchedulePlan,
    /// When it fires next; none: it is paused, or there is no next time.
    pub next_at: Option<Timestamp>,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// When it fired last, and the task that it made then.
    pub last: Option<(Timestamp, TaskId)>,
    /// Rises whenever it is changed or fires.
    pub revision: i64,
}

/// What a schedule makes, and when. Kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchedulePlan {
    /// A cron expression of five or six fields.
    pub cron: String,
    /// The name of a time zone, such as `Europe/Berlin`, in which the expression is read.
    pub time_zone: String,
    /// What happens to times that went by while nobody could fire.
    pub missed: MissedRuns,
    /// The message of every task; its id is replaced. Its metadata may hold durability options.
    pub message: Message,
    /// The conversation of every task; none: each has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextId>,
}

/// What happens to times that went by while nobody could fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedRuns {
    /// They are left out.
    Skip,
    /// One task stands for all of them.
    #[default]
    Once,
    /// Each gets its task, the most recent hundred at most.
    All,
}

/// Schedules that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSchedules {
    /// Those, the longest overdue first.
    pub due: Vec<Schedule>,
    /// The store's time.
    pub now: Timestamp,
    /// When the next one is due, from now; none: there is none.
    pub next_in: Option<Duration>,
}

/// A schedule fires, or a missed time of it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireSchedule {
    /// Whose.
    pub owner: OwnerId,
    /// Which.
    pub name: String,
    /// The revision that was read: another one means that somebody else was first.
    pub revision: i64,
    /// When it fires next.
    pub next_at: Option<Timestamp>,
    /// The time for which it fires, and the task that is made.
    pub task: Option<(Timestamp, AcceptNew)>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FireOutcome {
    /// It is done. Without a task there is nothing to accept.
    Now(Option<Accepted>),
    /// Somebody else was first, or changed or deleted the schedule; nothing was done.
    Outdated,
}
