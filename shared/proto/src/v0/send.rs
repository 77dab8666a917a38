//! Sending a message, with or without a stream, and the answer.

use super::{
    message::{self, ReadMessage, message},
    push, task,
};
use crate::{
    pb::v0::{self as pb, send_message_response::Payload},
    read::{asked, each, history_length, optional, required, text},
    value,
};
use longhaul_domain::Role;
use longhaul_wire::{
    ProtocolError, PushConfig, SendOutcome, SendRequest, WireError,
    raw::{JsonPath, Parsed},
};

/// Reads the request of sending a message, with or without a stream.
pub fn read_send(request: pb::SendMessageRequest) -> Result<SendRequest, ProtocolError> {
    asked(|at| {
        let said = required(request.request, &at.field("message"), of_client);
        let configured = optional(request.configuration, &at.field("configuration"), configuration);
        let metadata = value::maybe_object(request.metadata.as_ref(), &at.field("metadata"));
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
    })
}

/// A message that a client may send: it says something, and speaks for the user.
fn of_client(given: pb::Message, at: &JsonPath<'_>) -> Parsed<ReadMessage> {
    let some_parts: Parsed<()> = if given.content.is_empty() {
        at.field("content").refuse("is required; send at least one part")
    } else {
        Ok(())
    };
    let said = message::read(given, at)?;
    some_parts?;
    match said.message.role {
        Role::User => Ok(said),
        Role::Agent => at.field("role").refuse("must be ROLE_USER in a message to an agent"),
    }
}

/// What holds without a configuration: wait, as clients of that version expect.
#[derive(Default)]
struct Configured {
    accepted_output_modes: Vec<String>,
    push_config: Option<PushConfig>,
    history_length: Option<u32>,
    return_immediately: bool,
}

fn configuration(given: pb::SendMessageConfiguration, at: &JsonPath<'_>) -> Parsed<Configured> {
    let modes = each(given.accepted_output_modes, &at.field("acceptedOutputModes"), text);
    let push = optional(given.push_notification, &at.field("pushNotification"), push::read);
    let history = history_length(given.history_length, &at.field("historyLength"));
    Ok(Configured {
        accepted_output_modes: modes?,
        push_config: push?,
        history_length: Some(history?).filter(|length| *length > 0),
        return_immediately: !given.blocking,
    })
}

/// Answer of sending a message. Only a content that is kept apart makes it fail.
pub fn send(outcome: &SendOutcome) -> Result<pb::SendMessageResponse, WireError> {
    let payload = match outcome {
        SendOutcome::Task(shown) => Payload::Task(task::task(shown)?),
        SendOutcome::Message(said) => Payload::Msg(message(said, None)?),
    };
    Ok(pb::SendMessageResponse { payload: Some(payload) })
}
