//! Sending a message, with or without a stream, and the response (A2A 3.2.1, 3.2.2).

use super::{
    message::{self, message},
    push, task,
};
use crate::{
    pb::v1::{self as pb, send_message_response::Payload},
    read::{
        ParsedMessage, SendConfiguration, history_length, list, optional, optional_text,
        read_request, required, text,
    },
    value,
};
use longhaul_domain::Role;
use longhaul_wire::{
    ProtocolError, SendOutcome, SendRequest, WireError,
    raw::{JsonPath, Parsed},
};

/// Reads the request of Send Message and Send Streaming Message.
pub fn read_send(request: pb::SendMessageRequest) -> Result<SendRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(request.tenant, &at.field("tenant"));
        let message = required(request.message, &at.field("message"), read_user_message);
        let configured = optional(request.configuration, &at.field("configuration"), configuration);
        let metadata = value::maybe_object(request.metadata.as_ref(), &at.field("metadata"));
        // Nothing fails before every member has been read.
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
    })
}

/// Reads a message that a client may send: at least one part, role user.
fn read_user_message(given: pb::Message, at: &JsonPath<'_>) -> Parsed<ParsedMessage> {
    let some_parts: Parsed<()> = if given.parts.is_empty() {
        at.field("parts").refuse("is required; send at least one part")
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
    let push = &at.field("taskPushNotificationConfig");
    let push = optional(given.task_push_notification_config, push, push::read);
    let history = optional(given.history_length, &at.field("historyLength"), history_length);
    Ok(SendConfiguration {
        accepted_output_modes: modes?,
        push_config: push?,
        history_length: history?,
        return_immediately: given.return_immediately,
    })
}

/// Response of Send Message. Fails only on contents that are stored apart.
pub fn send(outcome: &SendOutcome) -> Result<pb::SendMessageResponse, WireError> {
    let payload = match outcome {
        SendOutcome::Task(task) => Payload::Task(task::task(task)?),
        SendOutcome::Message(reply) => Payload::Message(message(reply, None)?),
    };
    Ok(pb::SendMessageResponse { payload: Some(payload) })
}
