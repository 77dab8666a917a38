//! Outcomes and messages from a plugin's frames. Errors are violations of the protocol.

use super::{
    a2a::into_parts,
    frames::{FrameKind, PluginFrame},
};
use longhaul_domain::{Message, MessageId};
use longhaul_executor::{ExecutorFailure, Outcome, TaskContext};
use std::time::Duration;

/// The outcome of a run from the frame that ends it. `open_step` is a step that has not ended.
pub(super) fn outcome(
    ctx: &TaskContext,
    frame: &PluginFrame,
    open_step: Option<&str>,
) -> Result<Outcome, String> {
    let message = message(ctx, frame)?;
    // A failure or cancellation discards open steps; any other ending has to end them first.
    let gives_up = matches!(frame.kind, FrameKind::Failed | FrameKind::Canceled);
    if let Some(step) = open_step.filter(|_| !gives_up) {
        return Err(format!("it ended the run while step {step:?} is under way"));
    }
    let needed =
        |message: Option<Message>| message.ok_or_else(|| "it needs `text` or `message`".to_owned());
    let outcome = match frame.kind {
        FrameKind::Completed => Outcome::Completed(message),
        FrameKind::Rejected => Outcome::Rejected(message),
        FrameKind::Canceled => Outcome::Canceled(message),
        FrameKind::InputRequired => Outcome::InputRequired(needed(message)?),
        FrameKind::AuthRequired => Outcome::AuthRequired(needed(message)?),
        FrameKind::Message => Outcome::Direct(needed(message)?),
        _ => {
            let text = message.as_ref().map(Message::text).filter(|text| !text.is_empty());
            let silent = || "the plugin failed without saying why".to_owned();
            Outcome::Failed(ExecutorFailure {
                // Where the agent has a message for the client, the cause is not meant for the
                // client.
                for_operators: message.is_some(),
                cause: frame.cause.clone().or(text).unwrap_or_else(silent),
                message,
                retryable: frame.retryable.unwrap_or(false),
                retry_after: frame.retry_after_ms.map(Duration::from_millis),
            })
        }
    };
    outcome.check().map_err(|invalid| invalid.to_string())?;
    Ok(outcome)
}

/// The content of a frame as a message of the agent.
pub(super) fn message(ctx: &TaskContext, frame: &PluginFrame) -> Result<Option<Message>, String> {
    let Some(given) = frame.message()? else {
        return Ok(frame.text.as_deref().map(|text| ctx.agent_message(text)));
    };
    let mut message = ctx.agent_message(into_parts(given.parts));
    if let Some(id) = given.message_id {
        message.message_id = MessageId::new(id).map_err(|error| format!("messageId {error}"))?;
    }
    message.metadata = given.metadata;
    message.extensions = given.extensions.unwrap_or_default();
    message.reference_task_ids = given.reference_task_ids.unwrap_or_default();
    Ok(Some(message))
}
