//! Puts large contents back where they belong before anything is shown.

use super::{Caller, Held, Result, Service};
use crate::{hub::Entry, weight::Count};
use longhaul_domain::{Blob, BlobHash, EntryBody, LogEntry, Message, OwnerId, Part, Task};
use longhaul_store::StoreError;
use std::{collections::HashMap, sync::Arc};

/// Parts of a task, wherever they are.
fn parts_of(task: &mut Task) -> impl Iterator<Item = &mut Part> {
    let history = task.history.iter_mut().flat_map(|item| item.message.parts.iter_mut());
    let status = task.status.message.iter_mut().flat_map(|message| message.parts.iter_mut());
    let artifacts = task.artifacts.iter_mut().flat_map(|artifact| artifact.parts.iter_mut());
    history.chain(status).chain(artifacts)
}

/// Whether an entry has large contents, which are kept apart.
pub(super) fn is_apart(entry: &LogEntry) -> bool {
    let held = |parts: &[Part]| parts.iter().any(|part| part.blob().is_some());
    match &entry.body {
        EntryBody::Message(user) => held(&user.message.parts),
        EntryBody::Status(change) => change.message.as_ref().is_some_and(|said| held(&said.parts)),
        EntryBody::Artifact(update) => held(&update.artifact.parts),
        EntryBody::Note(_) => false,
    }
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
        self.resolve(caller, parts_of(task).collect()).await?;
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
        self.resolve(caller, tasks.iter_mut().flat_map(parts_of).collect()).await?;
        Ok(held)
    }

    /// Puts the large contents of a message back.
    pub(super) async fn resolve_message(
        &self,
        caller: &Caller,
        message: &mut Message,
    ) -> Result<()> {
        self.resolve(caller, message.parts.iter_mut().collect()).await
    }

    async fn resolve(&self, caller: &Caller, parts: Vec<&mut Part>) -> Result<()> {
        let restored = restore(&*self.store, caller.principal.owner, parts).await;
        restored.map_err(|error| caller.failed(&error))
    }

    /// A log entry with its large contents. Entries are shared by all subscribers; only one with large contents is copied.
    pub(super) async fn resolve_entry(
        &self,
        owner: OwnerId,
        entry: &Arc<Entry>,
    ) -> std::result::Result<Arc<Entry>, StoreError> {
        if !is_apart(entry) {
            return Ok(Arc::clone(entry));
        }
        let mut copy = LogEntry::clone(entry);
        let parts: Vec<&mut Part> =
            copy.body.parts_mut().filter(|part| part.blob().is_some()).collect();
        restore(&*self.store, owner, parts).await?;
        Ok(Arc::new(copy.into()))
    }
}

async fn restore(
    store: &dyn longhaul_store::Store,
    owner: OwnerId,
    parts: Vec<&mut Part>,
) -> std::result::Result<(), StoreError> {
    let mut wanted: Vec<(BlobHash, &mut Part)> = Vec::new();
    for part in parts {
        if let Some(hash) = part.blob().map(|blob| blob.hash) {
            wanted.push((hash, part));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut hashes: Vec<BlobHash> = wanted.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let bytes = store.read_blobs(owner, hashes).await?;
    let known: HashMap<BlobHash, Blob> =
        bytes.into_iter().map(|(hash, bytes)| (hash, Blob { hash, bytes })).collect();
    for (hash, part) in wanted {
        let corrupt = |cause: &str| StoreError::Corrupt {
            what: format!("large content {hash}"),
            cause: cause.to_owned(),
        };
        let blob = known.get(&hash).ok_or_else(|| corrupt("it is missing"))?;
        let Some(reference) = part.blob().copied() else { continue };
        let content = reference.restore(blob.bytes.clone());
        part.content = content.map_err(|error| corrupt(&error.to_string()))?;
    }
    Ok(())
}
