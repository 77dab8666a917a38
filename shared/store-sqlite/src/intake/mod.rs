//! Writes of API nodes: messages and cancel requests.

pub mod accept;
pub mod cancel;
pub mod dedupe;

use crate::SqliteStore;
use async_trait::async_trait;
use longhaul_domain::{Blob, OwnerId};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, CancelRequested, DedupeKey, FollowedUp, IncomingMessage,
    IntakeStore, MessageLookup, RequestCancel, Result,
};

#[async_trait]
impl IntakeStore for SqliteStore {
    async fn accept_new(&self, new: AcceptNew) -> Result<Accepted> {
        let weight = weight(&new.accept);
        let new = accept::NewTask::from(new);
        self.writer.write(weight, move |tx| accept::accept_new(tx, &new)).await
    }

    async fn accept_follow_up(&self, new: AcceptFollowUp) -> Result<FollowedUp> {
        let weight = weight(&new.accept);
        let (key, budget) = (new.key, new.budget);
        let said = accept::IntakeMessage::from(new.accept);
        self.writer.write(weight, move |tx| accept::accept_follow_up(tx, key, &said, budget)).await
    }

    async fn find_message(&self, owner: OwnerId, dedupe: DedupeKey) -> Result<MessageLookup> {
        let now = self.time.now();
        self.readers.read(move |conn| dedupe::lookup(conn, now, owner, &dedupe)).await
    }

    async fn request_cancel(&self, request: RequestCancel) -> Result<CancelRequested> {
        self.writer.write(0, move |tx| cancel::request_cancel(tx, &request)).await
    }
}

/// Estimates the bytes that a message adds to a transaction.
pub fn weight(accept: &IncomingMessage) -> usize {
    blobs_weight(&accept.blobs) + accept.message.stored_len()
}

/// Adds up the bytes of large contents.
pub fn blobs_weight(blobs: &[Blob]) -> usize {
    blobs.iter().map(|blob| blob.bytes.len()).sum()
}
