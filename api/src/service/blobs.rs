//! Puts large contents back where they belong before anything is shown.

use super::{Caller, Held, Result, Service};
use crate::{hub::Entry, weight::Count};
use longhaul_domain::{Artifact, BlobHash, BlobRef, BlobSlot, LogEntry, Message, OwnerId, Task};
use longhaul_store::StoreError;
use std::sync::Arc;

/// Contents of a task that may be kept apart, wherever they are.
fn slots_of(task: &mut Task) -> impl Iterator<Item = BlobSlot<'_>> {
    let history = task.history.iter_mut().flat_map(|item| item.message.blob_slots());
    let status = task.status.message.iter_mut().flat_map(Message::blob_slots);
    let artifacts = task.artifacts.iter_mut().flat_map(Artifact::blob_slots);
    history.chain(status).chain(artifacts)
}

impl Service {
    /// Makes a task fit into an answer, puts its large contents back, and says how it is run where that is wanted.
    /// `held` is the room in which it was read; what is given back is the room that it takes.
    pub(super) async fn show_task(
        &self,
        caller: &Caller,
        task: &mut Task,
        held: Held,
    ) -> Result<Held> {
        self.report(caller, std::slice::from_mut(task)).await?;
        self.fit_task(task)?;
        let held = self.answers.fit(held, Count::Shown.task(task)).await?;
        self.resolve(caller, slots_of(task).collect()).await?;
        Ok(held)
    }

    /// Makes a page of tasks fit into an answer and puts their large contents back, in one read.
    pub(super) async fn show_page(
        &self,
        caller: &Caller,
        tasks: &mut [Task],
        held: Held,
    ) -> Result<Held> {
        self.report(caller, tasks).await?;
        self.fit_page(tasks)?;
        let bytes = tasks.iter().map(|task| Count::Shown.task(task)).sum();
        let held = self.answers.fit(held, bytes).await?;
        self.resolve(caller, tasks.iter_mut().flat_map(slots_of).collect()).await?;
        Ok(held)
    }

    /// Puts the large contents of a message back.
    pub(super) async fn resolve_message(
        &self,
        caller: &Caller,
        message: &mut Message,
    ) -> Result<()> {
        self.resolve(caller, message.blob_slots().collect()).await
    }

    async fn resolve(&self, caller: &Caller, slots: Vec<BlobSlot<'_>>) -> Result<()> {
        let restored = restore(&*self.store, caller.principal.owner, slots).await;
        restored.map_err(|error| caller.failed(&error))
    }

    /// A log entry with its large contents. Entries are shared by all subscribers; only one with large contents is copied.
    pub(super) async fn resolve_entry(
        &self,
        owner: OwnerId,
        entry: &Arc<Entry>,
    ) -> std::result::Result<Arc<Entry>, StoreError> {
        if !entry.body.has_blobs() {
            return Ok(Arc::clone(entry));
        }
        let mut copy = LogEntry::clone(entry);
        restore(&*self.store, owner, copy.body.blob_slots().collect()).await?;
        Ok(Arc::new(copy.into()))
    }
}

/// Puts contents that are kept apart back in their places, in one read.
pub(super) async fn restore(
    store: &dyn longhaul_store::Store,
    owner: OwnerId,
    slots: Vec<BlobSlot<'_>>,
) -> std::result::Result<(), StoreError> {
    let wanted: Vec<(BlobRef, BlobSlot<'_>)> =
        slots.into_iter().filter_map(|slot| Some((slot.blob()?, slot))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut hashes: Vec<BlobHash> = wanted.iter().map(|(blob, _)| blob.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let known = store.read_blobs(owner, hashes).await?;
    for (blob, mut slot) in wanted {
        let corrupt = |cause: &str| StoreError::Corrupt {
            what: format!("large content {}", blob.hash),
            cause: cause.to_owned(),
        };
        let bytes = known.get(&blob.hash).ok_or_else(|| corrupt("it is missing"))?;
        slot.restore(&blob, bytes.clone()).map_err(|error| corrupt(&error.to_string()))?;
    }
    Ok(())
}
