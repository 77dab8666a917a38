//! `TaskStatus` (A2A 4.1.2).

use super::{enums, message};
use crate::{
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::ReceivedStatus,
    time::Time,
    write::Members,
};
use longhaul_domain::{ContextId, Message, TaskId, TaskState, Timestamp};
use serde::{Serialize, Serializer};

/// A status inside of its task: the message carries the task's ids.
pub(super) struct Status<'a> {
    pub task: TaskId,
    pub context: &'a ContextId,
    pub state: TaskState,
    pub message: Option<&'a Message>,
    pub at: Timestamp,
}

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let placed = |said| message::Placed::new(said, Some(self.task.into()), Some(self.context));
        let mut members = Members::open(serializer)?;
        members.put("state", enums::state_name(self.state))?;
        members.maybe("message", self.message.map(placed))?;
        members.put("timestamp", &Time(self.at))?;
        members.close()
    }
}

pub(super) fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReceivedStatus> {
    let [state, said, time] = object(raw, at, ["state", "message", "timestamp"])?;
    let state = state.required(at, enums::some_state);
    let said = said.optional(at, message::received);
    let time = time.optional(at, scalar::timestamp);
    Ok(ReceivedStatus { state: state?, message: said?, at: time? })
}
