//! Status of a task.

use super::{Cx, LegacyForm, enums, message};
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
    pub cx: Cx<'a>,
    pub task: TaskId,
    pub context: &'a ContextId,
    pub state: TaskState,
    pub message: Option<&'a Message>,
    pub at: Timestamp,
}

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let placed =
            |said| message::Placed::new(self.cx, said, Some(self.task.into()), Some(self.context));
        let mut members = Members::open(serializer)?;
        members.put("state", self.cx.form.state_name(self.state))?;
        members.maybe("message", self.message.map(placed))?;
        members.put("timestamp", &Time(self.at))?;
        members.close()
    }
}

pub(super) fn read(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<ReceivedStatus> {
    let [state, said, update, time] = object(raw, at, ["state", "message", "update", "timestamp"])?;
    // Protobuf's own name of the message is `update`, which its readers take as well.
    let said = if said.present().is_some() { said } else { update };
    let state = state.required(at, |raw, at| enums::some_state(form, raw, at));
    let said = said.optional(at, |raw, at| message::received(form, raw, at));
    let time = time.optional(at, scalar::timestamp);
    Ok(ReceivedStatus { state: state?, message: said?, at: time? })
}
