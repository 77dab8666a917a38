//! Answers that are under way at once do not take more memory than a node has for them.
//!
//! A small answer is made at once. A large one first takes room for the largest that may be, because its size is not known before
//! it is read; then keeps as much as it really has, until its last byte is handed over. One that finds no room waits a
//! little and is turned away, so a node under many large requests stays a node for all others.

use super::{Caller, Result, Service};
use longhaul_domain::Task;
use longhaul_store::{ReadBudget, SnapshotOptions, StoreError};
use longhaul_wire::{ProtocolError, TaskRef};
use std::{ops::Deref, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Answers whose stored bodies are within this many bytes are read without asking for room.
const READ_AT_ONCE: u64 = 8 << 20;

/// An answer above this many bytes is a large one, and all large ones together may have this much.
const LARGE: u64 = 256 << 10;
const LARGE_BYTES: u64 = 128 << 20;

/// How long a large answer waits for room, and when its client may come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of one permit.
const UNIT: u64 = 1 << 10;

/// The room of a node for large answers.
#[derive(Debug)]
pub struct Answers {
    units: u32,
    free: Arc<Semaphore>,
}

/// The room of one answer, free again when it is dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Held {
    /// Bytes of room that it takes; nothing for a small answer.
    pub fn bytes(&self) -> usize {
        let units = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        units << UNIT.trailing_zeros()
    }
}

/// An answer and its room.
#[derive(Debug)]
pub struct Answer<T> {
    /// What is answered.
    pub answer: T,
    /// Kept until it is handed over.
    pub held: Held,
}

impl<T> Deref for Answer<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.answer
    }
}

impl Answers {
    /// Room for at least one answer of so many bytes.
    pub fn new(largest: u64) -> Self {
        let units = units(LARGE_BYTES.max(largest)).min(u32::MAX >> 3);
        Self { units, free: Arc::new(Semaphore::new(units as usize)) }
    }

    /// Takes room for an answer of so many bytes.
    pub(super) async fn take(&self, bytes: u64) -> Result<Held> {
        if bytes <= LARGE {
            return Ok(Held(None));
        }
        let wanted = units(bytes).min(self.units);
        match timeout(PATIENCE, Arc::clone(&self.free).acquire_many_owned(wanted)).await {
            Ok(Ok(permit)) => Ok(Held(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(ProtocolError::Unavailable { retry_after: PATIENCE }),
        }
    }

    /// Room for an answer that turned out to have so many bytes: what it has too much is given back, and what it lacks is taken.
    pub(super) async fn fit(&self, held: Held, bytes: u64) -> Result<Held> {
        let Held(Some(mut permit)) = held else { return self.take(bytes).await };
        let surplus = permit.num_permits().saturating_sub(units(bytes) as usize);
        drop(permit.split(surplus));
        Ok(Held(Some(permit)))
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Service {
    /// Reads what is to be shown: at once what is small, the rest when there is room. [`StoreError::TooLarge`]: it is larger than
    /// any answer.
    pub(super) async fn read_to_show<T, F>(
        &self,
        read: impl Fn(ReadBudget) -> F,
    ) -> Result<(longhaul_store::Result<T>, Held)>
    where
        F: Future<Output = longhaul_store::Result<T>>,
    {
        let largest = self.options.max_answer_bytes;
        match read(ReadBudget::Strict(READ_AT_ONCE.min(largest))).await {
            Err(StoreError::TooLarge { .. }) => {
                let held = self.answers.take(largest).await?;
                Ok((read(ReadBudget::TrimHistory(largest)).await, held))
            }
            done => Ok((done, Held(None))),
        }
    }

    /// A snapshot of a task that is to be shown, with large contents still apart.
    pub(super) async fn snapshot_to_show(
        &self,
        caller: &Caller,
        task: &TaskRef,
        options: SnapshotOptions,
    ) -> Result<Answer<Task>> {
        let key = Self::key(caller, task)?;
        let read = |budget| self.store.read_task(key, SnapshotOptions { budget, ..options });
        let (found, held) = self.read_to_show(read).await?;
        let answer = self.found(caller, task, found)?;
        Ok(Answer { answer, held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn large_answers_share_a_room_and_those_that_find_none_are_turned_away() {
        let answers = Answers::new(64 * MIB);
        let first = answers.take(64 * MIB).await.unwrap();
        let second = answers.take(64 * MIB).await.unwrap();
        assert!(matches!(answers.take(MIB).await, Err(ProtocolError::Unavailable { .. })));
        assert!(answers.take(LARGE).await.is_ok(), "small ones need no room");
        let first = answers.fit(first, 63 * MIB).await.unwrap();
        assert!(answers.take(MIB).await.is_ok(), "what an answer has not is free at once");
        drop((first, second));
        assert!(answers.take(128 * MIB).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_answer_has_room() {
        let answers = Answers::new(1_024 * MIB);
        let held = answers.take(1_024 * MIB).await.unwrap();
        assert!(answers.take(MIB).await.is_err());
        drop(held);
        assert!(answers.take(MIB).await.is_ok());
    }
}
