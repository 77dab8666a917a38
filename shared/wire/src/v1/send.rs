//! `SendMessageRequest`, its configuration, and `SendMessageResponse` (A2A 3.2.1, 3.2.2, 3.1.1).

use super::{V1, asked, message, push, received, request, task};
use crate::{
    ProtocolError, WireError,
    event::SendOutcome,
    raw::{Field, JsonPath, Parsed, RawJson, Violation, object, read_root, scalar},
    received::ReceivedSend,
    request::{PushConfig, SendRequest, TaskRef},
    write::Members,
};
use longhaul_domain::{Message, Role};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V1<'_, SendRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut members = Members::open(serializer)?;
        members.maybe("tenant", request.tenant.as_ref())?;
        let message = message::Placed::new(&request.message, request.target.clone(), None);
        members.put("message", &message)?;
        let configured = request.return_immediately
            || request.history_length.is_some()
            || !request.accepted_output_modes.is_empty()
            || request.push_config.is_some();
        members.maybe("configuration", configured.then_some(Configuration(request)))?;
        members.maybe("metadata", request.metadata.as_ref())?;
        members.close()
    }
}

struct Configuration<'a>(&'a SendRequest);

impl Serialize for Configuration<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut members = Members::open(serializer)?;
        members.list("acceptedOutputModes", &request.accepted_output_modes)?;
        members.maybe("taskPushNotificationConfig", request.push_config.as_ref().map(V1))?;
        members.maybe("historyLength", request.history_length)?;
        members.flag("returnImmediately", request.return_immediately)?;
        members.close()
    }
}

/// Reads the parameters of Send Message and Send Streaming Message.
pub fn read_send(params: &RawValue) -> Result<SendRequest, ProtocolError> {
    asked(params, read)
}

fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendRequest> {
    let [tenant, said, configuration, metadata] =
        object(raw, at, ["tenant", "message", "configuration", "metadata"])?;
    let tenant = tenant.some_text(at);
    let said = said.required(at, of_client);
    let configured = configuration.optional(at, read_configuration);
    let metadata = metadata.optional(at, scalar::json_object);
    let said = said?;
    let configured = configured?.unwrap_or_default();
    Ok(SendRequest {
        tenant: tenant?,
        message: said.message,
        target: said.task,
        return_immediately: configured.return_immediately,
        history_length: configured.history_length,
        accepted_output_modes: configured.accepted_output_modes,
        push_config: configured.push_config,
        metadata: metadata?,
    })
}

/// A message that a client may send: it says something, and speaks for the user.
fn of_client(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<message::ReadMessage> {
    let [parts] = object(raw, at, ["parts"])?;
    let some_parts = require_some(at, &parts);
    let said = message::read(raw, at)?;
    some_parts?;
    match said.message.role {
        Role::User => Ok(said),
        Role::Agent => at.field("role").refuse("must be ROLE_USER in a message to an agent"),
    }
}

/// A message says something.
pub(crate) fn require_some(at: &JsonPath<'_>, parts: &Field<'_>) -> Parsed<()> {
    // Raw values start and end with a token, so an empty array is two brackets and white space.
    let empty =
        |raw: RawJson<'_>| raw.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii() == "]");
    match parts.present() {
        Some(raw) if !empty(raw) => Ok(()),
        _ => at.field(parts.name()).refuse("is required; send at least one part"),
    }
}

#[derive(Default)]
struct Configured {
    accepted_output_modes: Vec<String>,
    push_config: Option<PushConfig>,
    history_length: Option<u32>,
    return_immediately: bool,
}

fn read_configuration(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Configured> {
    let [modes, push, history, immediately] = object(
        raw,
        at,
        ["acceptedOutputModes", "taskPushNotificationConfig", "historyLength", "returnImmediately"],
    )?;
    let modes = modes.list(at, scalar::text);
    let push = push.optional(at, push::read);
    let history = history.optional(at, request::history_length);
    let immediately = immediately.flag(at);
    Ok(Configured {
        accepted_output_modes: modes?,
        push_config: push?,
        history_length: history?,
        return_immediately: immediately?,
    })
}

impl Serialize for V1<'_, SendOutcome> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        match self.0 {
            SendOutcome::Task(task) => members.put("task", &V1(task.as_ref()))?,
            SendOutcome::Message(message) => members.put("message", &V1(message))?,
        }
        members.close()
    }
}

/// Reads the result of Send Message.
pub fn received_send(result: &RawValue) -> Result<ReceivedSend, WireError> {
    received(result, |raw, at| {
        let [task, said] = object(raw, at, ["task", "message"])?;
        match (task.optional(at, task::read)?, said.optional(at, message::received)?) {
            (Some(task), None) => Ok(ReceivedSend::Task(Box::new(task))),
            (None, Some(message)) => Ok(ReceivedSend::Message(message)),
            (Some(_), Some(_)) | (None, None) => at.refuse("must hold one of task and message"),
        }
    })
}

/// Reads a message to an agent that is kept to be sent later, without an id of its own: `messageId` and `role` may be left
/// out, and what is given as `messageId` stands for nothing. A task that it names is given beside it.
pub fn read_message_template(
    message: &RawValue,
) -> Result<(Message, Option<TaskRef>), Vec<Violation>> {
    const GIVEN: &str = r#"{"messageId":"template","role":"ROLE_USER""#;
    let completed = message.get().trim_start().strip_prefix('{').map(|rest| {
        // Of a name given twice the last one counts: what is there stays in force.
        let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
        RawValue::from_string(format!("{GIVEN}{comma}{rest}"))
    });
    let completed = completed.and_then(Result::ok);
    let read = read_root(completed.as_deref().unwrap_or(message), of_client)?;
    Ok((read.message, read.task))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<(Message, Option<TaskRef>), Vec<Violation>> {
        read_message_template(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_template_needs_parts_and_nothing_else() {
        let (message, task) = template(r#" {"parts":[{"text":"hi"}]}"#).unwrap();
        assert_eq!((message.text().as_str(), task), ("hi", None));
        let (message, task) =
            template(r#"{"messageId":"own","taskId":"t","parts":[{"text":"hi"}]}"#).unwrap();
        assert_eq!(message.message_id.as_str(), "own");
        assert_eq!(task, Some(TaskRef::parse("t")));
        for (text, field) in [
            ("{}", "parts"),
            (r#"{"parts":[]}"#, "parts"),
            (r#"{"parts":[{"text":"hi"}],"role":"ROLE_AGENT"}"#, "role"),
            (r#"{"parts":[{}]}"#, "parts[0]"),
            ("[]", "params"),
        ] {
            assert_eq!(template(text).unwrap_err()[0].field, field, "{text}");
        }
    }
}
