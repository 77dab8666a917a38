//! Sending a message: parameters, configuration and answer.

use super::{Cx, LegacyForm, V0, message, push, task};
use crate::{
    ProtocolError, WireError, chosen,
    event::SendOutcome,
    raw::{JsonPath, Parsed, RawJson, object, scalar},
    received::ReceivedSend,
    request::{PushConfig, SendRequest},
    v1::{ReadMessage, asked, context_id, history_length, received, require_some},
    write::{Members, Shown},
};
use longhaul_domain::{ContextId, Role, Seq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

impl Serialize for V0<'_, SendRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (cx, request) = (self.cx, self.value);
        let mut members = Members::open(serializer)?;
        let message = message::Placed::new(cx, &request.message, request.target.clone(), None);
        if cx.form == LegacyForm::V0_1 {
            members.maybe("id", request.target.as_ref().map(Shown))?;
            members
                .maybe("sessionId", request.message.context_id.as_ref().map(ContextId::as_str))?;
            members.put("message", &message)?;
            members.maybe(
                "pushNotification",
                request.push_config.as_ref().map(|c| push::Inner(cx.form, c)),
            )?;
            members.maybe("historyLength", request.history_length.filter(|length| *length > 0))?;
        } else {
            members.put("message", &message)?;
            members.maybe("configuration", Configuration(cx, request).needed())?;
        }
        members.maybe("metadata", request.metadata.as_ref())?;
        members.close()
    }
}

struct Configuration<'a>(Cx<'a>, &'a SendRequest);

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
        let Self(Cx { form, .. }, request) = *self;
        let proto = form == LegacyForm::V0_3Proto;
        let mut members = Members::open(serializer)?;
        members.list("acceptedOutputModes", &request.accepted_output_modes)?;
        let name = if proto { "pushNotification" } else { "pushNotificationConfig" };
        members.maybe(name, request.push_config.as_ref().map(|c| push::Inner(form, c)))?;
        // In ProtoJSON none is not to be had: 0 is absence there, and absence is all.
        members.maybe("historyLength", form.history(request.history_length))?;
        // What is not said is false in ProtoJSON, and true in JSON.
        if proto == request.return_immediately {
            return members.close();
        }
        members.put("blocking", &!request.return_immediately)?;
        members.close()
    }
}

/// Reads the parameters of sending a message, with or without a stream.
pub(super) fn read_send(form: LegacyForm, params: &RawValue) -> Result<SendRequest, ProtocolError> {
    asked(params, |raw, at| match form {
        LegacyForm::V0_1 => read_first(raw, at),
        LegacyForm::V0_3 | LegacyForm::V0_3Proto => read(form, raw, at),
    })
}

fn read(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendRequest> {
    let [said, request, configuration, metadata] =
        object(raw, at, ["message", "request", "configuration", "metadata"])?;
    // Protobuf's own name of the message is `request`, which its readers take as well.
    let proto =
        form == LegacyForm::V0_3Proto && said.present().is_none() && request.present().is_some();
    let said = if proto { request } else { said };
    let said = said.required(at, |raw, at| of_client(form, raw, at));
    let configured = configuration.optional(at, |raw, at| read_configuration(form, raw, at));
    let metadata = metadata.optional(at, scalar::json_object);
    let said = said?;
    let configured = configured?.unwrap_or_default();
    Ok(SendRequest {
        tenant: None,
        message: said.message,
        target: said.task,
        return_immediately: configured.return_immediately,
        history_length: configured.history_length,
        accepted_output_modes: configured.accepted_output_modes,
        push_config: configured.push_config,
        metadata: metadata?,
    })
}

/// 0.1: the task is named beside the message, by the client, also when it is to begin with this message. An answer holds
/// history only when it is asked for.
fn read_first(raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<SendRequest> {
    let [id, session, said, push, history, modes, metadata] = object(
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
    let said = said.required(at, |raw, at| of_client(LegacyForm::V0_1, raw, at));
    let push = push.optional(at, push::read);
    let history = history.optional(at, history_length);
    let modes = modes.list(at, scalar::text);
    let metadata = metadata.optional(at, scalar::json_object);
    let (id, mut message) = (id?, said?.message);
    message.context_id = session?;
    chosen::name(&mut message, &id.to_string(), Seq::START);
    Ok(SendRequest {
        tenant: None,
        message,
        target: Some(id),
        return_immediately: false,
        history_length: Some(history?.unwrap_or_default()),
        accepted_output_modes: modes?,
        push_config: push?,
        metadata: metadata?,
    })
}

/// A message that a client may send: it says something, and speaks for the user.
fn of_client(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<ReadMessage> {
    let parts = message::parts_of(form, raw, at)?;
    let some_parts = require_some(at, &parts);
    let said = message::read(form, raw, at)?;
    some_parts?;
    match said.message.role {
        Role::User => Ok(said),
        Role::Agent => at
            .field("role")
            .refuse(format!("must be {} in a message to an agent", form.role_name(Role::User))),
    }
}

#[derive(Default)]
struct Configured {
    accepted_output_modes: Vec<String>,
    push_config: Option<PushConfig>,
    history_length: Option<u32>,
    return_immediately: bool,
}

fn read_configuration(form: LegacyForm, raw: RawJson<'_>, at: &JsonPath<'_>) -> Parsed<Configured> {
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
    Ok(Configured {
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
                let mut members = Members::open(serializer)?;
                match outcome {
                    SendOutcome::Task(task) => members.put("task", &cx.of(task.as_ref()))?,
                    SendOutcome::Message(message) => members.put("message", &cx.of(message))?,
                }
                members.close()
            }
            (LegacyForm::V0_1, SendOutcome::Message(message)) => {
                task::Replied { cx, message, is_final: false }.serialize(serializer)
            }
            (_, SendOutcome::Task(task)) => cx.of(task.as_ref()).serialize(serializer),
            (LegacyForm::V0_3, SendOutcome::Message(message)) => {
                cx.of(message).serialize(serializer)
            }
        }
    }
}

/// Reads the answer to a message that was sent.
pub fn received_send(form: LegacyForm, result: &RawValue) -> Result<ReceivedSend, WireError> {
    received(result, |raw, at| {
        let [kind, role, task, said, msg] =
            object(raw, at, ["kind", "role", "task", "message", "msg"])?;
        let of_task = |raw: RawJson<'_>, at: &JsonPath<'_>| {
            Ok(ReceivedSend::Task(Box::new(task::read(form, raw, at)?)))
        };
        let of_message = |raw: RawJson<'_>, at: &JsonPath<'_>| {
            message::received(form, raw, at).map(ReceivedSend::Message)
        };
        if form != LegacyForm::V0_3Proto {
            let is_message = match kind.optional(at, scalar::text)? {
                Some(kind) => kind == "message",
                None => role.present().is_some(),
            };
            return if is_message { of_message(raw, at) } else { of_task(raw, at) };
        }
        let said = if said.present().is_some() { said } else { msg };
        match (task.optional(at, of_task)?, said.optional(at, of_message)?) {
            (Some(answer), None) | (None, Some(answer)) => Ok(answer),
            (Some(_), Some(_)) | (None, None) => at.refuse("must hold one of task and message"),
        }
    })
}
