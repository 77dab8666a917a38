//! Sending: `SendMessageRequest`, its configuration, and `SendMessageResponse` (A2A 3.2.1, 3.2.2,
//! 3.1.1).

use super::{V1, message, push, read_params, read_result, request, task};
use crate::{
    ProtocolError, TaskRef, WireError,
    event::SendOutcome,
    raw::{JsonField, JsonPath, Parsed, RawJson, Violation, object, read_root, scalar},
    received::ReceivedSend,
    request::{PushConfig, SendRequest},
    write::ObjectWriter,
};
use longhaul_domain::{Message, Role};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V1<'_, SendRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        members.put_some("tenant", request.tenant.as_ref())?;
        let message = message::MessageInTask::new(&request.message, request.target.clone(), None);
        members.put("message", &message)?;
        let configured = request.return_immediately
            || request.history_length.is_some()
            || !request.accepted_output_modes.is_empty()
            || request.push_config.is_some();
        members.put_some("configuration", configured.then_some(Configuration(request)))?;
        members.put_some("metadata", request.metadata.as_ref())?;
        members.close()
    }
}

struct Configuration<'a>(&'a SendRequest);

impl Serialize for Configuration<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut members = ObjectWriter::open(serializer)?;
        members.put_list("acceptedOutputModes", &request.accepted_output_modes)?;
        members.put_some("taskPushNotificationConfig", request.push_config.as_ref().map(V1))?;
        members.put_some("historyLength", request.history_length)?;
        members.put_flag("returnImmediately", request.return_immediately)?;
        members.close()
    }
}

/// Reads the parameters of Send Message and Send Streaming Message.
pub fn read_send(params: &RawValue) -> Result<SendRequest, ProtocolError> {
    read_params(params, read)
}

fn read(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendRequest> {
    let [tenant, message, configuration, metadata] =
        object(raw, at, ["tenant", "message", "configuration", "metadata"])?;
    let tenant = tenant.optional_text(at);
    let message = message.required(at, read_user_message);
    let configured = configuration.optional(at, read_configuration);
    let metadata = metadata.optional(at, scalar::json_object);
    // Nothing fails before every member has been read: all violations are reported at once.
    let message = message?;
    let configured = configured?.unwrap_or_default();
    Ok(SendRequest {
        tenant: tenant?,
        message: message.message,
        target: message.task,
        return_immediately: configured.return_immediately,
        history_length: configured.history_length,
        accepted_output_modes: configured.accepted_output_modes,
        push_config: configured.push_config,
        metadata: metadata?,
    })
}

/// Reads a message that a client may send: at least one part, role user.
fn read_user_message(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<message::ParsedMessage> {
    let [parts] = object(raw, at, ["parts"])?;
    // Evaluated first but returned last, so that all violations are reported.
    let some_parts = require_parts(at, &parts);
    let message = message::read(raw, at)?;
    some_parts?;
    // Agents never send; they reply within a task.
    match message.message.role {
        Role::User => Ok(message),
        Role::Agent => at.field("role").refuse("must be ROLE_USER in a message to an agent"),
    }
}

/// Requires at least one part.
pub(crate) fn require_parts(at: &JsonPath<'_>, parts: &JsonField<'_>) -> Parsed<()> {
    // A raw value starts and ends with a token, so an empty array is two brackets and whitespace.
    let empty =
        |raw: RawJson<'_>| raw.get().strip_prefix('[').is_some_and(|rest| rest.trim_ascii() == "]");
    match parts.present() {
        Some(raw) if !empty(raw) => Ok(()),
        _ => at.field(parts.name()).refuse("is required; send at least one part"),
    }
}

/// Options of a send; the defaults wait for the task.
#[derive(Default)]
pub(crate) struct SendConfiguration {
    pub accepted_output_modes: Vec<String>,
    pub push_config: Option<PushConfig>,
    pub history_length: Option<u32>,
    pub return_immediately: bool,
}

fn read_configuration(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendConfiguration> {
    let [modes, push, history, immediately] = object(
        raw,
        at,
        ["acceptedOutputModes", "taskPushNotificationConfig", "historyLength", "returnImmediately"],
    )?;
    let modes = modes.list(at, scalar::text);
    let push = push.optional(at, push::read);
    let history = history.optional(at, request::history_length);
    let immediately = immediately.flag(at);
    Ok(SendConfiguration {
        accepted_output_modes: modes?,
        push_config: push?,
        history_length: history?,
        return_immediately: immediately?,
    })
}

impl Serialize for V1<'_, SendOutcome> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        match self.0 {
            SendOutcome::Task(task) => members.put("task", &V1(task.as_ref()))?,
            SendOutcome::Message(message) => members.put("message", &V1(message))?,
        }
        members.close()
    }
}

/// Reads the result of Send Message.
pub fn received_send(result: &RawValue) -> Result<ReceivedSend, WireError> {
    read_result(result, |raw, at| {
        let [task, message] = object(raw, at, ["task", "message"])?;
        match (task.optional(at, task::read)?, message.optional(at, message::read_received)?) {
            (Some(task), None) => Ok(ReceivedSend::Task(Box::new(task))),
            (None, Some(message)) => Ok(ReceivedSend::Message(message)),
            (Some(_), Some(_)) | (None, None) => at.refuse("must hold one of task and message"),
        }
    })
}

/// Reads a message template, which is stored and sent later. `messageId` and `role` are optional,
/// and a given `messageId` has no meaning. Returns the task that the template names beside the
/// message.
pub fn read_message_template(
    message: &RawValue,
) -> Result<(Message, Option<TaskRef>), Vec<Violation>> {
    const DEFAULT_MEMBERS: &str = r#"{"messageId":"template","role":"ROLE_USER""#;
    let completed = message.get().trim_start().strip_prefix('{').map(|rest| {
        // The last of duplicate names wins, so members of the template override the defaults.
        let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
        RawValue::from_string(format!("{DEFAULT_MEMBERS}{comma}{rest}"))
    });
    let completed = completed.and_then(Result::ok);
    let read = read_root(completed.as_deref().unwrap_or(message), read_user_message)?;
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
