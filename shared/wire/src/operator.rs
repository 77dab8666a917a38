//! JSON of the operator API (`/operator/v1`), shared by the node that writes it and the clients
//! that read it.
//!
//! Members are written in alphabetical order unless a type says otherwise. Readers ignore unknown
//! members and treat missing optional ones as absent, so client and server may differ in version.
//! Requests are strict: a node refuses unknown members.

use crate::{
    native::LogEntryView,
    write::{serialize_millis, serialize_optional_millis},
};
use longhaul_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Filter and page of dead letters: the query of a list, and the body of a bulk redrive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterQuery {
    /// Name or number of the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Name of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Kind of the failure, such as `poison`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Earliest time of the failure (RFC 3339), inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Latest time of the failure (RFC 3339), exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Text within the cause, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// True lists redriven and dismissed letters too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handled: Option<bool>,
    /// Cursor: [`DeadLetterPage::next`] of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Maximum number of letters to return, or to redrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A dead letter: a task that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// Agent that failed the task.
    pub agent: String,
    /// Time of the failure.
    #[serde(serialize_with = "serialize_millis")]
    pub at: Timestamp,
    /// Number of attempts.
    pub attempts: i64,
    /// Kind of the failure.
    pub because: String,
    /// Message of the last failure.
    pub cause: String,
    /// Context of the task.
    pub context_id: String,
    /// True if it was dismissed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissed: Option<bool>,
    /// Name of the owner.
    pub owner: String,
    /// Id of the task that it was redriven as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redriven_as: Option<String>,
    /// Id of the task.
    pub task_id: String,
}

/// A page of dead letters, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterPage {
    /// The letters.
    pub dead: Vec<DeadLetterView>,
    /// Cursor of the next page; absent at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// A dead letter with its task and its log, in this order. `T` is the task in A2A 1.0 JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetterDetail<T = Box<RawValue>> {
    /// The letter.
    pub letter: DeadLetterView,
    /// The task.
    pub task: T,
    /// Log of the task; only its end if the whole log is too large.
    #[serde(default)]
    pub log: Vec<LogEntryView>,
}

/// The answer to a redrive of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedriveAnswer {
    /// True if an earlier request redrove it.
    #[serde(default)]
    pub already: bool,
    /// Id of the new task.
    pub task_id: String,
}

/// The answer to a dismissal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DismissAnswer {
    /// True if an earlier request dismissed it.
    #[serde(default)]
    pub already: bool,
    /// Always true.
    pub dismissed: bool,
}

/// A redriven task and its successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedrivenTask {
    /// True if an earlier request redrove it.
    #[serde(default)]
    pub already: bool,
    /// Id of the dead task.
    pub from: String,
    /// Id of the new task.
    pub to: String,
}

/// The answer to a bulk redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRedriveAnswer {
    /// True if more letters match than were redriven.
    #[serde(default)]
    pub more: bool,
    /// The redriven tasks.
    pub redriven: Vec<RedrivenTask>,
}

/// The queue of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// The agent.
    pub agent: String,
    /// Runs that wait for another run with their concurrency key.
    pub held_back: u64,
    /// Milliseconds that the oldest ready run has waited.
    #[serde(default)]
    pub oldest_ms: Option<u64>,
    /// Runs that a worker may claim.
    pub ready: u64,
    /// Runs that are claimed.
    pub running: u64,
    /// Runs that are not due yet.
    pub scheduled: u64,
}

/// The queues of all agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueList {
    /// Queues, one per agent.
    pub queues: Vec<QueueView>,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    /// Agents that it runs.
    pub agents: Vec<String>,
    /// Id of the process, new at each start.
    pub id: String,
    /// End of its lease.
    #[serde(serialize_with = "serialize_millis")]
    pub lease_until: Timestamp,
    /// Name for people: host and process id.
    pub name: String,
    /// Runs that it holds.
    pub running: u64,
}

/// The workers of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerList {
    /// The workers.
    pub workers: Vec<WorkerView>,
}

/// Handling of firings that were missed while no node could fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedFirings {
    /// Skips all of them.
    Skip,
    /// Fires once for all of them.
    #[default]
    Once,
    /// Fires for each, the latest hundred at most.
    All,
}

/// Schedule to create or replace: the body of the request. Exactly one of `message` and `text` is
/// given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Agent of the tasks.
    pub agent: String,
    /// Cron expression.
    pub cron: String,
    /// IANA time zone of the expression; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Handling of missed firings; once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedFirings>,
    /// Message of each task, in A2A 1.0 JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<RawValue>>,
    /// Text of each task's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Context of all tasks; each gets its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// True pauses the schedule; absent leaves it as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// A schedule, its members in this order. `M` is the message in A2A 1.0 JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView<M = Box<RawValue>> {
    /// Name of the owner.
    pub owner: String,
    /// Name of the schedule, unique within its owner.
    pub name: String,
    /// Agent of the tasks.
    pub agent: String,
    /// Cron expression.
    pub cron: String,
    /// IANA time zone of the expression.
    pub time_zone: String,
    /// Handling of missed firings: `skip`, `once` or `all`.
    pub missed: String,
    /// Message of each task.
    #[serde(default = "Option::default")]
    pub message: Option<M>,
    /// Context of all tasks, if they share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// True while it is paused.
    #[serde(default)]
    pub paused: bool,
    /// Time of the next firing; absent while it is paused or has none.
    #[serde(default, serialize_with = "serialize_optional_millis")]
    pub next_at: Option<Timestamp>,
    /// The latest firing.
    #[serde(default)]
    pub last: Option<LastFiring>,
    /// Revision, which rises with every change.
    #[serde(default)]
    pub revision: i64,
}

/// The latest firing of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastFiring {
    /// Time of the firing.
    #[serde(serialize_with = "serialize_millis")]
    pub at: Timestamp,
    /// Id of the task that it made.
    pub task_id: String,
}

/// Schedules of one owner or of all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScheduleList<M = Box<RawValue>> {
    /// The schedules.
    pub schedules: Vec<ScheduleView<M>>,
}

/// The answer to a firing on demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FireAnswer {
    /// Id of the task that it made.
    pub task_id: String,
}

/// The answer to a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAnswer {
    /// Always true.
    pub deleted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_written_in_a_fixed_order_with_milliseconds() {
        let letter = DeadLetterView {
            agent: "echo".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            attempts: 3,
            because: "fatal".to_owned(),
            cause: "no".to_owned(),
            context_id: "c".to_owned(),
            dismissed: None,
            owner: "acme".to_owned(),
            redriven_as: Some("t2".to_owned()),
            task_id: "t1".to_owned(),
        };
        let page = DeadLetterPage { dead: vec![letter], next: None };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            concat!(
                r#"{"dead":[{"agent":"echo","at":"1970-01-01T00:00:00.000Z","attempts":3,"because":"fatal","#,
                r#""cause":"no","contextId":"c","owner":"acme","redrivenAs":"t2","taskId":"t1"}],"next":null}"#
            )
        );
        let schedule = ScheduleView {
            owner: "acme".to_owned(),
            name: "n".to_owned(),
            agent: "echo".to_owned(),
            cron: "@daily".to_owned(),
            time_zone: "UTC".to_owned(),
            missed: "once".to_owned(),
            message: Some(json!({"parts": []})),
            context_id: None,
            paused: true,
            next_at: None,
            last: Some(LastFiring { at: Timestamp::UNIX_EPOCH, task_id: "t".to_owned() }),
            revision: 2,
        };
        assert_eq!(
            serde_json::to_string(&schedule).unwrap(),
            concat!(
                r#"{"owner":"acme","name":"n","agent":"echo","cron":"@daily","timeZone":"UTC","missed":"once","#,
                r#""message":{"parts":[]},"paused":true,"nextAt":null,"#,
                r#""last":{"at":"1970-01-01T00:00:00.000Z","taskId":"t"},"revision":2}"#
            )
        );
    }

    #[test]
    fn answers_of_other_versions_are_read() {
        let queue = json!({"agent": "a", "heldBack": 0, "ready": 1, "running": 0, "scheduled": 0, "new": 1});
        let queue: QueueView = serde_json::from_value(queue).unwrap();
        assert_eq!((queue.ready, queue.oldest_ms), (1, None));
        let answer: RedriveAnswer = serde_json::from_value(json!({"taskId": "t"})).unwrap();
        assert!(!answer.already);
    }
}
