//! Tasks that no client sends: made from a message that is kept, by a redrive or by a schedule.
//!
//! Such a task has a dedupe key made from what it stands for, so that making it twice makes it once.

use super::{Service, blobs::restore, durability};
use longhaul_domain::{
    AgentName, BlobSlot, ContextId, DurabilityOptions, Json, JsonObject, MessageId, OwnerId,
    TaskKey, blob::offload_to_blobs, extension::DURABILITY_EXTENSION, log::UserMessage,
};
use longhaul_runtime::TraceContext;
use longhaul_store::{AcceptNew, DedupeKey, IncomingMessage, Result, StoreError};
use sha2::{Digest, Sha256};

/// What such a task is made from.
pub struct Draft {
    /// Whose it is to be.
    pub owner: OwnerId,
    /// Who is to do it.
    pub agent: AgentName,
    /// Its conversation; none: one of its own.
    pub context: Option<ContextId>,
    /// Its message, with what the request said that first brought it; ids are replaced, and options that are over left out.
    pub said: UserMessage,
    /// What it stands for, unique within its owner.
    pub stands_for: String,
    /// The trace that it belongs to.
    pub trace: TraceContext,
}

impl Service {
    /// A new task from a draft, ready to be accepted.
    pub async fn begin(&self, draft: Draft) -> Result<AcceptNew> {
        let key = TaskKey { owner: draft.owner, task: self.channel.task_id(self.ids.uuid_v7()) };
        let context = draft.context.unwrap_or_else(|| ContextId::from(self.ids.uuid_v7()));
        let mut said = draft.said;
        let message = &mut said.message;
        message.message_id = MessageId::from(self.ids.uuid_v7());
        message.task_id = Some(key.task);
        message.context_id = Some(context.clone());
        // Options are changed in the metadata itself, not in what stands for it; a stored reference is not moved twice.
        let metadata = message.metadata.as_mut().map(BlobSlot::Metadata);
        let request = said.request_metadata.as_mut().map(BlobSlot::Metadata);
        let parts = message.parts.iter_mut().filter_map(|part| part.metadata.as_mut());
        let slots = metadata.into_iter().chain(request).chain(parts.map(BlobSlot::Metadata));
        restore(&*self.store, draft.owner, slots.collect()).await?;
        let message = &mut said.message;
        message.metadata = without_past(message.metadata.take());
        let options = DurabilityOptions::read(message.metadata.as_ref())
            .map_err(|error| StoreError::Refused(format!("durability options: {error}")))?;
        let agent = self.agents.get(&draft.agent).await?;
        let limits = agent.map(|agent| agent.limits).unwrap_or_default();
        let blobs = offload_to_blobs(said.blob_slots());
        let digest: [u8; 32] = Sha256::digest(&draft.stands_for).into();
        Ok(AcceptNew {
            key,
            agent: draft.agent,
            context,
            options: durability::run_options(&options, &limits, self.clock.now()),
            accept: IncomingMessage {
                message: said,
                dedupe: DedupeKey { key: digest, content: digest },
                blobs,
                trace: Some(draft.trace.traceparent().to_owned()),
            },
        })
    }
}

/// Options that hold for one task only: what they say is over when another one is made from the same message.
pub const PAST: [&str; 3] = ["notBefore", "deadline", "idempotencyKey"];

/// The metadata without options that are over.
fn without_past(metadata: Option<JsonObject>) -> Option<JsonObject> {
    let reduced = metadata.as_ref().and_then(|metadata| {
        let mut members = metadata.members().ok()?;
        let options = JsonObject::new(members.remove(DURABILITY_EXTENSION)?).ok()?;
        let mut options = options.members().ok()?;
        options.retain(|name, _| !PAST.contains(&name.as_str()));
        members.insert(DURABILITY_EXTENSION.to_owned(), Json::from_serialize(&options).ok()?);
        JsonObject::from_members(&members).ok()
    });
    reduced.or(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_over_go_and_everything_else_stays() {
        let metadata = JsonObject::parse(&format!(
            r#"{{"a":1.0,"{DURABILITY_EXTENSION}":{{"deadline":"x","idempotencyKey":"k","notBefore":null,"priority":3}}}}"#
        ));
        let left = without_past(Some(metadata.unwrap())).unwrap();
        assert_eq!(
            left.as_str(),
            format!(r#"{{"a":1.0,"{DURABILITY_EXTENSION}":{{"priority":3}}}}"#)
        );
        assert_eq!(without_past(None), None);
        let plain = JsonObject::parse(r#"{"b":1,"a":2}"#).unwrap();
        assert_eq!(without_past(Some(plain.clone())), Some(plain));
    }
}
