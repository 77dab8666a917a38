//! What this store promises besides what every store does.

mod calm;
mod clock;
mod cost;
mod disk;
mod documented;
mod folder;
mod keys;
mod plans;
mod trouble;
mod turns;

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

/// A look as a worker makes it.
const LOOK: ReapRequest = ReapRequest { limit: 100, max_losses: 5, grace: Duration::from_secs(10) };

async fn open(folder: &Path, clock: Arc<dyn Clock>) -> Arc<SqliteStore> {
    let store = SqliteStore::open(folder, clock, Arc::new(SystemIds)).unwrap();
    store.migrate().await.unwrap();
    store
}

/// A message of a given id that asks for a new task.
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

/// Claims the one run that is due.
async fn claim(store: &SqliteStore) -> ClaimedRun {
    claims(store).await.pop().unwrap()
}

/// Claims the first run that is due, if there is one that can be read.
async fn claims(store: &SqliteStore) -> Vec<ClaimedRun> {
    let worker = WorkerId::new(SystemIds.uuid_v7());
    let lease = Duration::from_secs(600);
    let new = NewWorker { id: worker, name: "host/1".to_owned(), agents: Vec::new(), lease };
    store.register_worker(new).await.unwrap();
    let slots = vec![AgentSlots::new(AgentName::new("echo").unwrap(), 1)];
    store.claim(ClaimRequest { worker, slots, limit: 1 }).await.unwrap()
}
