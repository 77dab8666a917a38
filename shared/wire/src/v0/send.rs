//! Sending before 1.0: parameters, configuration and result.

use super::{LegacyForm, V0, WriteContext, message, push, task};
use crate::{
    ProtocolError, WireError,
    event::SendOutcome,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::ReceivedSend,
    request::SendRequest,
    task_ref,
    v1::{
        ParsedMessage, SendConfiguration, context_id, history_length, read_params, read_result,
        require_parts,
    },
    write::{DisplayString, ObjectWriter},
};
use longhaul_domain::{ContextId, Role, Seq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V0<'_, SendRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, request) = (self.cx, self.value);
        let mut members = ObjectWriter::open(serializer)?;
        let message =
            message::MessageInTask::new(cx, &request.message, request.target.clone(), None);
        if cx.form == LegacyForm::V0_1 {
            members.put_some("id", request.target.as_ref().map(DisplayString))?;
            members.put_some(
                "sessionId",
                request.message.context_id.as_ref().map(ContextId::as_str),
            )?;
            members.put("message", &message)?;
            members.put_some(
                "pushNotification",
                request.push_config.as_ref().map(|c| push::ConfigBody(cx.form, c)),
            )?;
            members
                .put_some("historyLength", request.history_length.filter(|length| *length > 0))?;
        } else {
            members.put("message", &message)?;
            members.put_some("configuration", Configuration(cx, request).needed())?;
        }
        members.put_some("metadata", request.metadata.as_ref())?;
        members.close()
    }
}

struct Configuration<'a>(WriteContext<'a>, &'a SendRequest);

impl Configuration<'_> {
    fn needed(self) -> Option<Self> {
        let request = self.1;
        let needed = request.return_immediately
            || request.history_length.is_some()
            || !request.accepted_output_modes.is_empty()
            || request.push_config.is_some();
        needed.then_some(self)
    }
}

impl Serialize for Configuration<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(WriteContext { form, .. }, request) = *self;
        let proto = form == LegacyForm::V0_3Proto;
        let mut members = ObjectWriter::open(serializer)?;
        members.put_list("acceptedOutputModes", &request.accepted_output_modes)?;
        let name = if proto { "pushNotification" } else { "pushNotificationConfig" };
        members.put_some(name, request.push_config.as_ref().map(|c| push::ConfigBody(form, c)))?;
        // `ProtoJSON` cannot express 0: there it means absent, and absent means all.
        members.put_some("historyLength", form.history(request.history_length))?;
        // An absent flag means false in `ProtoJSON` and true in JSON.
        if proto == request.return_immediately {
            return members.close();
        }
        members.put("blocking", &!request.return_immediately)?;
        members.close()
    }
}

/// Reads the parameters of sending a message, with or without a stream.
pub(super) fn read_send(form: LegacyForm, params: &RawValue) -> Result<SendRequest, ProtocolError> {
    read_params(params, |raw, at| match form {
        LegacyForm::V0_1 => read_v0_1(raw, at),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => read(form, raw, at),
    })
}

fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendRequest> {
    let [message, request, configuration, metadata] =
        object(raw, at, ["message", "request", "configuration", "metadata"])?;
    // The protobuf name of the message is `request`; its readers accept both.
    let proto =
        form == LegacyForm::V0_3Proto && message.present().is_none() && request.present().is_some();
    let message = if proto { request } else { message };
    let message = message.required(at, |raw, at| read_user_message(form, raw, at));
    let configured = configuration.optional(at, |raw, at| read_configuration(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    let message = message?;
    let configured = configured?.unwrap_or_default();
    Ok(SendRequest {
        tenant: None,
        message: message.message,
        target: message.task,
        return_immediately: configured.return_immediately,
        history_length: configured.history_length,
        accepted_output_modes: configured.accepted_output_modes,
        push_config: configured.push_config,
        metadata: metadata?,
    })
}

/// Reads a send of 0.1. The client names the task beside the message, even a task that this message
/// creates. The response includes history on request only.
fn read_v0_1(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendRequest> {
    let [id, session, message, push, history, modes, metadata] = object(
        raw,
        at,
        [
            "id",
            "sessionId",
            "message",
            "pushNotification",
            "historyLength",
            "acceptedOutputModes",
            "metadata",
        ],
    )?;
    let id = id.required(at, |raw, at| message::task_ref(LegacyForm::V0_1, raw, at));
    let session = session.optional(at, context_id).map(Option::flatten);
    let message = message.required(at, |raw, at| read_user_message(LegacyForm::V0_1, raw, at));
    let push = push.optional(at, push::read);
    let history = history.optional(at, history_length);
    let modes = modes.list(at, scalar::text);
    let metadata = metadata.optional(at, scalar::json_object);
    let (id, mut message) = (id?, message?.message);
    message.context_id = session?;
    // The service assigns it again if the task has parked before.
    task_ref::assign_message_id(&mut message, &id.to_string(), Seq::START);
    Ok(SendRequest {
        tenant: None,
        message,
        target: Some(id),
        // 0.1 has no such option.
        return_immediately: false,
        history_length: Some(history?.unwrap_or_default()),
        accepted_output_modes: modes?,
        push_config: push?,
        metadata: metadata?,
    })
}

/// Reads a message that a client may send: at least one part, role user.
fn read_user_message(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<ParsedMessage> {
    let parts = message::parts_of(form, raw, at)?;
    let some_parts = require_parts(at, &parts);
    let message = message::read(form, raw, at)?;
    some_parts?;
    match message.message.role {
        Role::User => Ok(message),
        Role::Agent => at
            .field("role")
            .refuse(format!("must be {} in a message to an agent", form.role_name(Role::User))),
    }
}

fn read_configuration(
    form: LegacyForm,
    raw: RawJson<'_>,
    at: &JsonPath<'_>,
) -> Parsed<SendConfiguration> {
    let [modes, config, proto_config, history, blocking] = object(
        raw,
        at,
        [
            "acceptedOutputModes",
            "pushNotificationConfig",
            "pushNotification",
            "historyLength",
            "blocking",
        ],
    )?;
    let proto = form == LegacyForm::V0_3Proto;
    let push = if config.present().is_some() { config } else { proto_config };
    let modes = modes.list(at, scalar::text);
    let push = push.optional(at, push::read);
    let history = history.optional(at, history_length);
    let blocking = blocking.optional(at, scalar::boolean);
    Ok(SendConfiguration {
        accepted_output_modes: modes?,
        push_config: push?,
        history_length: form.history(history?),
        return_immediately: !blocking?.unwrap_or(!proto),
    })
}

impl Serialize for V0<'_, SendOutcome> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cx = self.cx;
        match (cx.form, self.value) {
            (LegacyForm::V0_3Proto, outcome) => {
                let mut members = ObjectWriter::open(serializer)?;
                match outcome {
                    SendOutcome::Task(task) => members.put("task", &cx.wrap(task.as_ref()))?,
                    SendOutcome::Message(message) => members.put("message", &cx.wrap(message))?,
                }
                members.close()
            }
            (LegacyForm::V0_1, SendOutcome::Message(message)) => {
                task::DirectReplyTask { cx, message, is_final: false }.serialize(serializer)
            }
            (_, SendOutcome::Task(task)) => cx.wrap(task.as_ref()).serialize(serializer),
            (LegacyForm::V0_3, SendOutcome::Message(message)) => {
                cx.wrap(message).serialize(serializer)
            }
        }
    }
}

/// Reads the result of a send.
pub fn received_send(form: LegacyForm, result: &RawValue) -> Result<ReceivedSend, WireError> {
    read_result(result, |raw, at| {
        let [kind, role, task, message, msg] =
            object(raw, at, ["kind", "role", "task", "message", "msg"])?;
        let read_task = |raw: RawJson<'_>, at: &JsonPath<'_>| {
            Ok(ReceivedSend::Task(Box::new(task::read(form, raw, at)?)))
        };
        let read_message = |raw: RawJson<'_>, at: &JsonPath<'_>| {
            message::read_received(form, raw, at).map(ReceivedSend::Message)
        };
        if form != LegacyForm::V0_3Proto {
            let is_message = match kind.optional(at, scalar::text)? {
                Some(kind) => kind == "message",
                None => role.present().is_some(),
            };
            return if is_message { read_message(raw, at) } else { read_task(raw, at) };
        }
        let message = if message.present().is_some() { message } else { msg };
        match (task.optional(at, read_task)?, message.optional(at, read_message)?) {
            (Some(answer), None) | (None, Some(answer)) => Ok(answer),
            (Some(_), Some(_)) | (None, None) => at.refuse("must hold one of task and message"),
        }
    })
}
