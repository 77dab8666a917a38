//! Values for the cases.

use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, EntryBody, KeyId, Message, MessageId, OwnerId,
    Part, Role, Scopes, TaskState,
    log::{StatusChange, UserMessage},
};
use longhaul_runtime::{IdSource, SystemIds};
use longhaul_store::{NewKey, Store};
use std::sync::Arc;

pub fn uuid() -> uuid::Uuid {
    SystemIds.uuid_v7()
}

pub fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

pub async fn owner(store: &Arc<dyn Store>, name: &str) -> OwnerId {
    let key = NewKey {
        id: KeyId(uuid().to_string()),
        owner: name.to_owned(),
        hash: hash(),
        scopes: Scopes::all(),
        label: String::new(),
    };
    store.create_key(key).await.unwrap()
}

/// Returns a hash that no other call returns.
pub fn hash() -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..16].copy_from_slice(uuid().as_bytes());
    hash
}

pub fn said(id: &str, text: &str) -> UserMessage {
    UserMessage::new(message(Role::User, id, text))
}

pub fn message(role: Role, id: &str, text: &str) -> Message {
    Message::new(MessageId::new(id).unwrap(), role, vec![Part::text(text)])
}

pub fn working() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

/// Returns a status with a message of the agent.
pub fn status(state: TaskState, text: &str) -> EntryBody {
    let message = message(Role::Agent, &uuid().to_string(), text);
    EntryBody::Status(StatusChange::with(state, Some(message)))
}

/// Returns a chunk of an artifact.
pub fn chunk(id: &str, text: &str, append: bool) -> EntryBody {
    let artifact = Artifact::new(ArtifactId::new(id).unwrap(), vec![Part::text(text)]);
    EntryBody::Artifact(ArtifactUpdate { artifact, append, last_chunk: false, metadata: None })
}
