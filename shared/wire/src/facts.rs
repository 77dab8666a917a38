//! How a task is run, in its metadata under the URI of the durability extension: for clients that have activated it.

use crate::{metadata::with_member, time::Time, write::Members};
use longhaul_domain::{AgentName, JsonObject, Timestamp, extension::DURABILITY_EXTENSION};
use serde::{Serialize, Serializer};

/// Where a task stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueStanding {
    /// It may be started any moment.
    Queued {
        /// For how long that has been so, in milliseconds.
        ms: u64,
    },
    /// It is not to be started yet.
    Scheduled,
    /// A worker runs it.
    Running,
}

impl QueueStanding {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
        }
    }
}

/// How a task is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// The agent that runs it.
    pub agent: AgentName,
    /// Which attempt it is, or was when the task ended.
    pub attempt: i32,
    /// Among the tasks of the same owner and agent, higher goes first.
    pub priority: i16,
    /// By when it must have ended.
    pub deadline: Option<Timestamp>,
    /// Its place in the queue and since when, or when, it is runnable; none: it is parked or has ended.
    pub queue: Option<(QueueStanding, Timestamp)>,
    /// How many workers in a row were lost while they ran it.
    pub losses: i32,
}

impl RunReport {
    /// The metadata with the report in it, in place of an older one; the other members stay as they are.
    pub fn add_to(&self, metadata: Option<&JsonObject>) -> Option<JsonObject> {
        // Names are fixed and values are numbers and times: this is always JSON.
        let report = serde_json::to_string(self).ok()?;
        with_member(metadata, DURABILITY_EXTENSION, &report)
    }
}

impl Serialize for RunReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("agent", self.agent.as_str())?;
        members.put("attempt", &self.attempt)?;
        members.put("priority", &self.priority)?;
        members.maybe("deadline", self.deadline.map(Time))?;
        if let Some((standing, run_at)) = self.queue {
            members.put("queue", standing.name())?;
            members.put("runAt", &Time(run_at))?;
            if let QueueStanding::Queued { ms } = standing {
                members.put("queuedMs", &ms)?;
            }
        }
        members.maybe("losses", (self.losses > 0).then_some(self.losses))?;
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
    fn a_report_stands_beside_what_was_there() {
        let metadata = JsonObject::parse(r#"{"z":1.0}"#).unwrap();
        let added = report(None).add_to(Some(&metadata)).unwrap();
        let expected = format!(
            r#"{{"z":1.0,"{DURABILITY_EXTENSION}":{{"agent":"echo","attempt":2,"priority":-5}}}}"#
        );
        assert_eq!(added.as_str(), expected);
        assert_eq!(report(None).add_to(Some(&added)).unwrap().as_str(), expected);
    }

    #[test]
    fn a_place_in_the_queue_is_told_with_its_time() {
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
