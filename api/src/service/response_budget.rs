//! Memory budget for large responses.
//!
//! A small response is made at once. A large one first reserves the largest possible size, because
//! its size is unknown before it is read; then it keeps what it needs until its last byte is handed
//! over. If the budget is used up it waits a little and is then rejected, so large requests cannot
//! exhaust a node's memory.

use super::{Caller, Result, Service};
use longhaul_domain::Task;
use longhaul_store::{ReadBudget, SnapshotOptions, StoreError};
use longhaul_wire::{ProtocolError, TaskRef};
use std::{ops::Deref, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Stored bytes up to which a response is read without reserving budget.
const MAX_UNBUDGETED_READ_BYTES: u64 = 8 << 20;

/// Size above which a response counts as large, and smallest budget for all large ones, in bytes.
const MIN_LARGE_BYTES: u64 = 256 << 10;
const MIN_BUDGET_BYTES: u64 = 128 << 20;

/// Time that a large response waits for budget; also its `Retry-After`.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of one permit.
const PERMIT_BYTES: u64 = 1 << 10;

/// Budget of a node for large responses.
#[derive(Debug)]
pub struct ResponseBudget {
    permits: u32,
    free: Arc<Semaphore>,
}

/// Budget held by one response; returned when dropped.
#[derive(Debug, Default)]
pub struct BudgetPermit(Option<OwnedSemaphorePermit>);

impl BudgetPermit {
    /// Bytes held; 0 for a small response.
    pub fn bytes(&self) -> usize {
        let permits = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        permits << PERMIT_BYTES.trailing_zeros()
    }
}

/// A value and the budget that it holds.
#[derive(Debug)]
pub struct Budgeted<T> {
    /// The value.
    pub value: T,
    /// Held until the value is handed over.
    pub permit: BudgetPermit,
}

impl<T> Deref for Budgeted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl ResponseBudget {
    /// A budget for at least one response of `largest` bytes.
    pub fn new(largest: u64) -> Self {
        let permits = permits(MIN_BUDGET_BYTES.max(largest)).min(u32::MAX >> 3);
        Self { permits, free: Arc::new(Semaphore::new(permits as usize)) }
    }

    /// Acquires budget for a response.
    pub(super) async fn acquire(&self, bytes: u64) -> Result<BudgetPermit> {
        if bytes <= MIN_LARGE_BYTES {
            return Ok(BudgetPermit(None));
        }
        let wanted = permits(bytes).min(self.permits);
        match timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.free).acquire_many_owned(wanted)).await {
            Ok(Ok(permit)) => Ok(BudgetPermit(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(ProtocolError::Unavailable { retry_after: ACQUIRE_TIMEOUT }),
        }
    }

    /// Adjusts a permit to the actual size: returns the surplus; a small response that proves large
    /// acquires its budget.
    pub(super) async fn fit(&self, permit: BudgetPermit, bytes: u64) -> Result<BudgetPermit> {
        let BudgetPermit(Some(mut permit)) = permit else { return self.acquire(bytes).await };
        // Released at once: others may wait for it.
        let surplus = permit.num_permits().saturating_sub(permits(bytes) as usize);
        drop(permit.split(surplus));
        Ok(BudgetPermit(Some(permit)))
    }
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

impl Service {
    /// Reads at once what is small, and the rest under the budget. [`StoreError::TooLarge`]: larger
    /// than any response may be.
    pub(super) async fn read_within_budget<T, F>(
        &self,
        read: impl Fn(ReadBudget) -> F,
    ) -> Result<(longhaul_store::Result<T>, BudgetPermit)>
    where
        F: Future<Output = longhaul_store::Result<T>>,
    {
        let largest = self.options.max_answer_bytes;
        match read(ReadBudget::Strict(MAX_UNBUDGETED_READ_BYTES.min(largest))).await {
            Err(StoreError::TooLarge { .. }) => {
                // The size is unknown until it is read, so the largest is reserved.
                let permit = self.response_budget.acquire(largest).await?;
                Ok((read(ReadBudget::TrimHistory(largest)).await, permit))
            }
            done => Ok((done, BudgetPermit(None))),
        }
    }

    /// A snapshot of a task to be shown, large contents by reference.
    pub(super) async fn budgeted_snapshot(
        &self,
        caller: &Caller,
        task: &TaskRef,
        options: SnapshotOptions,
    ) -> Result<Budgeted<Task>> {
        let key = Self::key(caller, task)?;
        let read = |budget| self.store.read_task(key, SnapshotOptions { budget, ..options });
        let (found, permit) = self.read_within_budget(read).await?;
        let value = self.found(caller, task, found)?;
        Ok(Budgeted { value, permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn large_responses_share_a_budget_and_are_rejected_without() {
        let budget = ResponseBudget::new(64 * MIB);
        let first = budget.acquire(64 * MIB).await.unwrap();
        let second = budget.acquire(64 * MIB).await.unwrap();
        assert!(matches!(budget.acquire(MIB).await, Err(ProtocolError::Unavailable { .. })));
        assert!(budget.acquire(MIN_LARGE_BYTES).await.is_ok(), "small ones need no budget");
        let first = budget.fit(first, 63 * MIB).await.unwrap();
        assert!(budget.acquire(MIB).await.is_ok(), "surplus is returned at once");
        drop((first, second));
        assert!(budget.acquire(128 * MIB).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_response_fits_the_budget() {
        let budget = ResponseBudget::new(1_024 * MIB);
        let permit = budget.acquire(1_024 * MIB).await.unwrap();
        assert!(budget.acquire(MIB).await.is_err());
        drop(permit);
        assert!(budget.acquire(MIB).await.is_ok());
    }
}
