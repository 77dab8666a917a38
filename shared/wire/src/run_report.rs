//! Run reports: the scheduling facts of a task, in its metadata under the URI of the durability
//! extension. Only clients that activate the extension receive them.

use crate::{
    metadata::with_member,
    write::{ObjectWriter, Rfc3339Millis},
};
use longhaul_domain::{AgentName, JsonObject, Timestamp, extension::DURABILITY_EXTENSION};
use serde::{Serialize, Serializer};

/// Position of a task relative to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueStanding {
    /// Runnable, waiting for a worker.
    Queued {
        /// Time in the queue, in milliseconds.
        ms: u64,
    },
    /// Not runnable yet.
    Scheduled,
    /// Claimed by a worker.
    Running,
}

impl QueueStanding {
    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
        }
    }
}

/// Scheduling facts of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// Agent of the task.
    pub agent: AgentName,
    /// Current attempt, or the last one of an ended task.
    pub attempt: i32,
    /// Priority among the tasks of one owner and agent; higher runs first.
    pub priority: i16,
    /// Deadline by which the task must end.
    pub deadline: Option<Timestamp>,
    /// Queue position and the time from which the task is runnable; `None` if parked or ended.
    pub queue: Option<(QueueStanding, Timestamp)>,
    /// Number of consecutive workers lost while running the task.
    pub losses: i32,
}

impl RunReport {
    /// Adds the report to the metadata, replacing an older one; other members stay as they are.
    pub fn add_to(&self, metadata: Option<&JsonObject>) -> Option<JsonObject> {
        // Names are fixed and values are numbers and times, so this cannot fail.
        let report = serde_json::to_string(self).ok()?;
        with_member(metadata, DURABILITY_EXTENSION, &report)
    }
}

impl Serialize for RunReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("agent", self.agent.as_str())?;
        members.put("attempt", &self.attempt)?;
        members.put("priority", &self.priority)?;
        members.put_some("deadline", self.deadline.map(Rfc3339Millis))?;
        if let Some((standing, run_at)) = self.queue {
            members.put("queue", standing.name())?;
            members.put("runAt", &Rfc3339Millis(run_at))?;
            if let QueueStanding::Queued { ms } = standing {
                members.put("queuedMs", &ms)?;
            }
        }
        // Lost workers are rare, so zero is omitted.
        members.put_some("losses", (self.losses > 0).then_some(self.losses))?;
        members.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(queue: Option<(QueueStanding, Timestamp)>) -> RunReport {
        let agent = AgentName::new("echo").unwrap();
        RunReport { agent, attempt: 2, priority: -5, deadline: None, queue, losses: 0 }
    }

    #[test]
    fn a_report_leaves_other_members_alone() {
        let metadata = JsonObject::parse(r#"{"z":1.0}"#).unwrap();
        let added = report(None).add_to(Some(&metadata)).unwrap();
        let expected = format!(
            r#"{{"z":1.0,"{DURABILITY_EXTENSION}":{{"agent":"echo","attempt":2,"priority":-5}}}}"#
        );
        assert_eq!(added.as_str(), expected);
        assert_eq!(report(None).add_to(Some(&added)).unwrap().as_str(), expected);
    }

    #[test]
    fn a_report_includes_the_queue_position_and_time() {
        let at = Timestamp::UNIX_EPOCH;
        let queued = report(Some((QueueStanding::Queued { ms: 1_500 }, at)));
        let queued = RunReport { losses: 1, deadline: Some(at), ..queued };
        assert_eq!(
            queued.add_to(None).unwrap().get(DURABILITY_EXTENSION).unwrap().as_str(),
            concat!(
                r#"{"agent":"echo","attempt":2,"priority":-5,"deadline":"1970-01-01T00:00:00.000Z","queue":"queued","#,
                r#""runAt":"1970-01-01T00:00:00.000Z","queuedMs":1500,"losses":1}"#
            )
        );
        let running = report(Some((QueueStanding::Running, at))).add_to(None).unwrap();
        assert!(running.as_str().contains(r#""queue":"running""#));
    }
}
