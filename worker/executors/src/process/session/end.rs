//! What a plugin says at the end of its run, and messages in general.

use super::{Break, Session};
use crate::process::{
    a2a::into_parts,
    frames::{Kind, Said},
};
use longhaul_domain::{Message, MessageId};
use longhaul_executor::{ExecutorFailure, Outcome};
use std::time::Duration;

impl Session<'_> {
    pub(super) fn outcome(&self, said: &Said) -> Result<Outcome, Break> {
        let message = self.message(said)?;
        let gives_up = matches!(said.kind, Kind::Failed | Kind::Canceled);
        if let Some(step) = self.steps.any().filter(|_| !gives_up) {
            return Err(Break::Violation(format!(
                "it ended the run while step {step:?} is under way"
            )));
        }
        let needed = |message: Option<Message>| {
            let missing = || Break::Violation("it needs `text` or `message`".to_owned());
            message.ok_or_else(missing)
        };
        let outcome = match said.kind {
            Kind::Completed => Outcome::Completed(message),
            Kind::Rejected => Outcome::Rejected(message),
            Kind::Canceled => Outcome::Canceled(message),
            Kind::InputRequired => Outcome::InputRequired(needed(message)?),
            Kind::AuthRequired => Outcome::AuthRequired(needed(message)?),
            Kind::Message => Outcome::Direct(needed(message)?),
            _ => {
                let told = message.as_ref().map(Message::text).filter(|text| !text.is_empty());
                let silent = || "the plugin failed without saying why".to_owned();
                Outcome::Failed(ExecutorFailure {
                    // Where the agent has a word for the client, the cause is not for it.
                    for_operators: message.is_some(),
                    cause: said.cause.clone().or(told).unwrap_or_else(silent),
                    message,
                    retryable: said.retryable.unwrap_or(false),
                    retry_after: said.retry_after_ms.map(Duration::from_millis),
                })
            }
        };
        outcome.check().map_err(|invalid| Break::Violation(invalid.to_string()))?;
        Ok(outcome)
    }

    /// What is said, as a message of the agent.
    pub(super) fn message(&self, said: &Said) -> Result<Option<Message>, Break> {
        if let Some(message) = said.message().map_err(Break::Violation)? {
            let mut made = self.ctx.agent_message(into_parts(message.parts));
            if let Some(id) = message.message_id {
                made.message_id = MessageId::new(id)
                    .map_err(|error| Break::Violation(format!("messageId {error}")))?;
            }
            made.metadata = message.metadata;
            made.extensions = message.extensions.unwrap_or_default();
            made.reference_task_ids = message.reference_task_ids.unwrap_or_default();
            return Ok(Some(made));
        }
        Ok(said.text.as_deref().map(|text| self.ctx.agent_message(text)))
    }
}
