//! Sending a message, with or without a stream, and the response.

use super::{
    message::{self, message},
    push, task,
};
use crate::{
    pb::v0::{self as pb, send_message_response::Payload},
    read::{
        ParsedMessage, SendConfiguration, history_length, list, optional, read_request, required,
        text,
    },
    value,
};
use longhaul_domain::Role;
use longhaul_wire::{
    ProtocolError, SendOutcome, SendRequest, WireError,
    raw::{JsonPath, Parsed},
};

/// Reads a request to send a message, with or without a stream.
pub fn read_send(request: pb::SendMessageRequest) -> Result<SendRequest, ProtocolError> {
    read_request(|at| {
        let message = required(request.request, &at.field("message"), read_user_message);
        let configured = optional(request.configuration, &at.field("configuration"), configuration);
        let metadata = value::maybe_object(request.metadata.as_ref(), &at.field("metadata"));
        // Nothing fails before every member has been read.
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
    })
}

/// Reads a message that a client may send: at least one part, role user.
fn read_user_message(given: pb::Message, at: &JsonPath<'_>) -> Parsed<ParsedMessage> {
    let some_parts: Parsed<()> = if given.content.is_empty() {
        at.field("content").refuse("is required; send at least one part")
    } else {
        Ok(())
    };
    let message = message::read(given, at)?;
    some_parts?;
    match message.message.role {
        Role::User => Ok(message),
        Role::Agent => at.field("role").refuse("must be ROLE_USER in a message to an agent"),
    }
}

fn configuration(
    given: pb::SendMessageConfiguration,
    at: &JsonPath<'_>,
) -> Parsed<SendConfiguration> {
    let modes = list(given.accepted_output_modes, &at.field("acceptedOutputModes"), text);
    let push = optional(given.push_notification, &at.field("pushNotification"), push::read);
    let history = history_length(given.history_length, &at.field("historyLength"));
    Ok(SendConfiguration {
        accepted_output_modes: modes?,
        push_config: push?,
        history_length: Some(history?).filter(|length| *length > 0),
        // An unset flag is false, which means: do not wait.
        return_immediately: !given.blocking,
    })
}

/// Response to sending a message. Fails only on contents that are stored apart.
pub fn send(outcome: &SendOutcome) -> Result<pb::SendMessageResponse, WireError> {
    let payload = match outcome {
        SendOutcome::Task(task) => Payload::Task(task::task(task)?),
        SendOutcome::Message(reply) => Payload::Msg(message(reply, None)?),
    };
    Ok(pb::SendMessageResponse { payload: Some(payload) })
}
