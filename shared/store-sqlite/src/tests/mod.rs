//! Promises of this store beyond those of every store.

mod background;
mod clock;
mod concurrency_keys;
mod cost;
mod disk;
mod docs;
mod fairness;
mod faults;
mod folder;
mod plans;

use crate::SqliteStore;
use longhaul_domain::{
    AgentName, ContextId, Message, MessageId, OwnerId, Part, Role, TaskId, TaskKey, WorkerId,
    log::UserMessage,
};
use longhaul_runtime::{Clock, IdSource, SystemIds};
use longhaul_store::{
    AcceptNew, AgentSlots, ClaimRequest, ClaimedRun, DedupeKey, IncomingMessage, NewWorker,
    ReapRequest, RunOptions, WorkerStore,
};
use std::{path::Path, sync::Arc, time::Duration};

/// A reap as a worker requests it.
const REAP: ReapRequest = ReapRequest { limit: 100, max_losses: 5, grace: Duration::from_secs(10) };

async fn open(folder: &Path, clock: Arc<dyn Clock>) -> Arc<SqliteStore> {
    let store = SqliteStore::open(folder, clock, Arc::new(SystemIds)).unwrap();
    store.migrate().await.unwrap();
    store
}

/// Returns a message with this id that asks for a new task.
fn asks(message: &str, text: &str) -> AcceptNew {
    let (agent, id) = (AgentName::new("echo").unwrap(), SystemIds.uuid_v7());
    let id_of_message = MessageId::new(message).unwrap();
    let said = Message::new(id_of_message, Role::User, vec![Part::text(text)]);
    let message = UserMessage::new(said);
    let dedupe = DedupeKey::from_message(&agent, &message);
    AcceptNew {
        key: TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(id) },
        agent,
        context: ContextId::from(id),
        options: RunOptions::default(),
        accept: IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None },
    }
}

/// Claims the only due run.
async fn claim(store: &SqliteStore) -> ClaimedRun {
    claim_all(store).await.pop().unwrap()
}

/// Claims the first due run, if one can be read.
async fn claim_all(store: &SqliteStore) -> Vec<ClaimedRun> {
    let worker = WorkerId::new(SystemIds.uuid_v7());
    let lease = Duration::from_secs(600);
    let new = NewWorker { id: worker, name: "host/1".to_owned(), agents: Vec::new(), lease };
    store.register_worker(new).await.unwrap();
    let slots = vec![AgentSlots::new(AgentName::new("echo").unwrap(), 1)];
    store.claim(ClaimRequest { worker, slots, limit: 1 }).await.unwrap()
}
