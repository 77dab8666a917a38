//! Drafts of tasks that no client sends: made from a stored message, by a redrive or a schedule.
//!
//! The deduplication key is derived from the draft's source, so drafting twice creates one task.

use super::{Service, blobs::restore, durability};
use longhaul_domain::{
    AgentName, BlobSlot, ContextId, DurabilityOptions, Json, JsonObject, MessageId, OwnerId,
    TaskKey, extension::DURABILITY_EXTENSION, log::UserMessage, offload::offload_to_blobs,
};
use longhaul_runtime::TraceContext;
use longhaul_store::{AcceptNew, DedupeKey, IncomingMessage, Result, Schedule, StoreError};
use sha2::{Digest, Sha256};

/// Source of such a task.
pub struct RedriveDraft {
    /// Owner of the task.
    pub owner: OwnerId,
    /// Agent that runs the task.
    pub agent: AgentName,
    /// Context of the task; a new one without it.
    pub context: Option<ContextId>,
    /// Message, with the metadata of its original request. Ids are replaced and single-use options
    /// removed.
    pub user_message: UserMessage,
    /// Identifies the task's origin; unique within its owner.
    pub dedupe_source: String,
    /// Trace of the task.
    pub trace: TraceContext,
}

impl RedriveDraft {
    /// Draft of a schedule's task.
    pub fn from_schedule(schedule: &Schedule, dedupe_source: String, trace: TraceContext) -> Self {
        Self {
            owner: schedule.owner,
            agent: schedule.agent.clone(),
            context: schedule.plan.context.clone(),
            user_message: UserMessage::new(schedule.plan.message.clone()),
            dedupe_source,
            trace,
        }
    }
}

impl Service {
    /// Creates a new task from a draft, ready to be accepted.
    pub async fn draft_task(&self, draft: RedriveDraft) -> Result<AcceptNew> {
        let key = TaskKey { owner: draft.owner, task: self.channel.task_id(self.ids.uuid_v7()) };
        let context = draft.context.unwrap_or_else(|| ContextId::from(self.ids.uuid_v7()));
        let mut user_message = draft.user_message;
        let message = &mut user_message.message;
        message.message_id = MessageId::from(self.ids.uuid_v7());
        // Ids of the stored message belong to the task that it came from.
        message.task_id = Some(key.task);
        message.context_id = Some(context.clone());
        // Options are edited in the metadata itself, not in a reference to it. Blobs are restored
        // first, so that a stored reference is not moved twice.
        let metadata = message.metadata.as_mut().map(BlobSlot::Metadata);
        let request = user_message.request_metadata.as_mut().map(BlobSlot::Metadata);
        let parts = message.parts.iter_mut().filter_map(|part| part.metadata.as_mut());
        let slots = metadata.into_iter().chain(request).chain(parts.map(BlobSlot::Metadata));
        restore(&*self.store, draft.owner, slots.collect()).await?;
        let message = &mut user_message.message;
        message.metadata = without_single_use_options(message.metadata.take());
        let options = DurabilityOptions::from_metadata(message.metadata.as_ref())
            .map_err(|error| StoreError::Refused(format!("durability options: {error}")))?;
        let agent = self.agents.get(&draft.agent).await?;
        let limits = agent.map(|agent| agent.limits).unwrap_or_default();
        let blobs = offload_to_blobs(user_message.blob_slots());
        // Key and content are the same: the source identifies the task, not its words.
        let digest: [u8; 32] = Sha256::digest(&draft.dedupe_source).into();
        Ok(AcceptNew {
            key,
            agent: draft.agent,
            context,
            options: durability::run_options(&options, &limits, self.clock.now()),
            accept: IncomingMessage {
                message: user_message,
                dedupe: DedupeKey { key: digest, content: digest },
                blobs,
                trace: Some(draft.trace.traceparent().to_owned()),
            },
        })
    }
}

/// Options that hold for one task only, and are removed when another one is made from its message.
pub const SINGLE_USE_OPTIONS: [&str; 3] = ["notBefore", "deadline", "idempotencyKey"];

/// The metadata without single-use options.
fn without_single_use_options(metadata: Option<JsonObject>) -> Option<JsonObject> {
    let reduced = metadata.as_ref().and_then(|metadata| {
        let mut members = metadata.members().ok()?;
        let options = JsonObject::new(members.remove(DURABILITY_EXTENSION)?).ok()?;
        let mut options = options.members().ok()?;
        options.retain(|name, _| !SINGLE_USE_OPTIONS.contains(&name.as_str()));
        members.insert(DURABILITY_EXTENSION.to_owned(), Json::from_serialize(&options).ok()?);
        JsonObject::from_members(&members).ok()
    });
    reduced.or(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_use_options_are_removed_and_the_rest_stays() {
        let metadata = JsonObject::parse(&format!(
            r#"{{"a":1.0,"{DURABILITY_EXTENSION}":{{"deadline":"x","idempotencyKey":"k","notBefore":null,"priority":3}}}}"#
        ));
        let left = without_single_use_options(Some(metadata.unwrap())).unwrap();
        assert_eq!(
            left.as_str(),
            format!(r#"{{"a":1.0,"{DURABILITY_EXTENSION}":{{"priority":3}}}}"#)
        );
        assert_eq!(without_single_use_options(None), None);
        let plain = JsonObject::parse(r#"{"b":1,"a":2}"#).unwrap();
        assert_eq!(without_single_use_options(Some(plain.clone())), Some(plain));
    }
}
