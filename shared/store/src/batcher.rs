//! Group commit: concurrent calls of one kind become one batch.
//!
//! Calls that arrive while earlier batches are in flight go into the next batch. A lone call runs
//! at once, and there is no timer. A batch runs in its own task: a caller that goes away cancels
//! nothing, and every caller gets its own answer. If the process dies in the middle, the batch is
//! committed whole or not at all.
//!
//! Heavy calls have their own lane: a small call neither shares a batch with megabytes nor waits
//! behind them.

use crate::{Result, StoreError};
use longhaul_runtime::spawn;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

/// Limits on the size of a batch and on the load that a batcher holds.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Maximum calls in one batch.
    pub max_calls: usize,
    /// Maximum weight of one batch, in the unit of [`CallBatcher::call`] (bytes). A call over it
    /// runs in a batch by itself.
    pub max_weight: usize,
    /// Weight at which a call counts as heavy. One batch of heavy calls is in flight at a time,
    /// beside all others.
    pub heavy_weight: usize,
    /// Maximum batches in flight.
    pub max_in_flight: usize,
    /// Minimum batch size for starting while another batch is in flight. Smaller batches wait and
    /// join the next one.
    pub min_calls_alongside: usize,
    /// Maximum waiting calls. Further calls fail as unavailable.
    pub max_waiting: usize,
    /// Maximum weight of all calls that wait or are in flight. Further calls fail as unavailable.
    pub max_pending_weight: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            max_calls: 128,
            max_weight: 4 << 20,
            heavy_weight: 256 << 10,
            max_in_flight: 2,
            min_calls_alongside: 1,
            max_waiting: 10_000,
            max_pending_weight: 256 << 20,
        }
    }
}

struct Call<In, Out> {
    input: In,
    weight: usize,
    answer: oneshot::Sender<Result<Out>>,
    held: PendingWeight,
}

/// Counts the weight of a call until the call is done, even if its caller has gone away.
struct PendingWeight {
    all: Arc<AtomicUsize>,
    weight: usize,
}

impl PendingWeight {
    /// Reserves a weight; `None` above the limit. A call that has no other beside it is always
    /// admitted.
    fn take(all: &Arc<AtomicUsize>, weight: usize, max_total: usize) -> Option<Self> {
        // Added first and judged after: of two calls that race for the last bytes one is refused.
        let before = all.fetch_add(weight, Ordering::Relaxed);
        // Made before the verdict, so that a refused call gives its weight back when it is dropped.
        let held = Self { all: Arc::clone(all), weight };
        (before == 0 || before.saturating_add(weight) <= max_total).then_some(held)
    }
}

impl Drop for PendingWeight {
    fn drop(&mut self) {
        self.all.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

/// Turns concurrent calls into batches.
pub struct CallBatcher<In, Out> {
    calls: mpsc::Sender<Call<In, Out>>,
    heavy_calls: mpsc::Sender<Call<In, Out>>,
    held: Arc<AtomicUsize>,
    limits: BatchLimits,
    name: &'static str,
}

impl<In: Send + 'static, Out: Send + 'static> CallBatcher<In, Out> {
    /// Starts a batcher. `run` receives the inputs of a batch and returns one result for each, in
    /// the same order.
    pub fn start<F, Fut>(name: &'static str, limits: BatchLimits, run: F) -> Self
    where
        F: Fn(Vec<In>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Result<Out>>> + Send + 'static,
    {
        let run = Arc::new(run);
        let lane = |limits: BatchLimits| {
            let (sender, receiver) = mpsc::channel(limits.max_waiting.max(1));
            spawn(name, run_batches(name, limits, receiver, Arc::clone(&run)));
            sender
        };
        let calls = lane(limits);
        // One at a time: two batches of megabytes would take the connections of the light lane.
        let heavy_calls = lane(BatchLimits { max_in_flight: 1, ..limits });
        Self { calls, heavy_calls, held: Arc::default(), limits, name }
    }

    /// Makes one call and waits for its result. `weight` is its size in bytes.
    pub async fn call(&self, input: In, weight: usize) -> Result<Out> {
        let (answer, answered) = oneshot::channel();
        let Some(held) = PendingWeight::take(&self.held, weight, self.limits.max_pending_weight)
        else {
            return Err(self.unavailable("has too many bytes pending"));
        };
        let lane = if weight < self.limits.heavy_weight { &self.calls } else { &self.heavy_calls };
        // Never waits for space: a caller beyond the bounds is told at once to come back later.
        match lane.try_send(Call { input, weight, answer, held }) {
            // The sender is dropped only when the batcher's task has ended with the runtime.
            Ok(()) => answered.await.unwrap_or_else(|_| Err(self.unavailable("was stopped"))),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(self.unavailable("has too many calls waiting"))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.unavailable("is closed")),
        }
    }

    fn unavailable(&self, how: &str) -> StoreError {
        StoreError::Unavailable(format!("{} {how}", self.name))
    }
}

async fn run_batches<In, Out, F, Fut>(
    name: &'static str,
    limits: BatchLimits,
    mut calls: mpsc::Receiver<Call<In, Out>>,
    run: Arc<F>,
) where
    In: Send + 'static,
    Out: Send + 'static,
    F: Fn(Vec<In>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<Result<Out>>> + Send + 'static,
{
    let slots = Arc::new(BatchSlots {
        free: Semaphore::new(limits.max_in_flight.max(1)),
        ended: Notify::new(),
    });
    // The call that did not fit into the batch before; it opens the next one.
    let mut carried = None;
    loop {
        let Some(first) = (match carried.take() {
            Some(call) => Some(call),
            None => calls.recv().await,
        }) else {
            // The batcher was dropped and every call was taken.
            return;
        };
        // The first call is taken whatever its weight, or it would wait for ever.
        let mut batch = Batch { weight: first.weight, calls: vec![first] };
        // While a batch waits for a slot, it grows.
        let slot = loop {
            // Registered before the slots are looked at, so that an end in between is not missed.
            let ended = slots.ended.notified();
            carried = carried.or_else(|| batch.gather(&limits, &mut calls));
            if let Some(slot) = slots.begin(&limits, &batch, carried.is_some()) {
                break slot;
            }
            let full = carried.is_some() || batch.calls.len() >= limits.max_calls;
            tokio::select! {
                () = ended => {}
                // A full batch leaves the queue alone, where the bound on waiting calls counts.
                Some(call) = calls.recv(), if !full => carried = batch.add(call, &limits),
            }
        };
        let run = Arc::clone(&run);
        // A task of its own: a caller that goes away must not stop the batch of the others.
        spawn(name, async move {
            run_batch(&*run, batch.calls).await;
            drop(slot);
        });
    }
}

/// Calls that are about to run together.
struct Batch<In, Out> {
    calls: Vec<Call<In, Out>>,
    weight: usize,
}

impl<In, Out> Batch<In, Out> {
    /// Adds a call; returns it if the batch has no space left for it.
    fn add(&mut self, call: Call<In, Out>, limits: &BatchLimits) -> Option<Call<In, Out>> {
        if self.weight + call.weight > limits.max_weight {
            return Some(call);
        }
        self.weight += call.weight;
        self.calls.push(call);
        None
    }

    /// Adds the waiting calls; returns the first one that no longer fits.
    fn gather(
        &mut self,
        limits: &BatchLimits,
        calls: &mut mpsc::Receiver<Call<In, Out>>,
    ) -> Option<Call<In, Out>> {
        while self.calls.len() < limits.max_calls {
            // Takes what is there and waits for nothing: a lone call is not delayed.
            let call = calls.try_recv().ok()?;
            if let Some(call) = self.add(call, limits) {
                return Some(call);
            }
        }
        None
    }
}

/// Slots for batches in flight.
struct BatchSlots {
    free: Semaphore,
    /// Notified when a batch ends.
    ended: Notify,
}

/// A slot that is taken by one batch until the batch ends.
struct BatchSlot(Arc<BatchSlots>);

impl Drop for BatchSlot {
    fn drop(&mut self) {
        self.0.free.add_permits(1);
        self.0.ended.notify_one();
    }
}

impl BatchSlots {
    /// Takes a slot if the batch may start now. `full`: no further call fits into it.
    fn begin<In, Out>(
        self: &Arc<Self>,
        limits: &BatchLimits,
        batch: &Batch<In, Out>,
        full: bool,
    ) -> Option<BatchSlot> {
        // No other batch of this lane is in flight.
        let alone = self.free.available_permits() >= limits.max_in_flight.max(1);
        if !(alone || full || batch.calls.len() >= limits.min_calls_alongside.min(limits.max_calls))
        {
            return None;
        }
        // The permit returns when the slot is dropped.
        self.free.try_acquire().ok()?.forget();
        Some(BatchSlot(Arc::clone(self)))
    }
}

async fn run_batch<In, Out, F, Fut>(run: &F, batch: Vec<Call<In, Out>>)
where
    F: Fn(Vec<In>) -> Fut,
    Fut: Future<Output = Vec<Result<Out>>>,
{
    let (inputs, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|call| (call.input, (call.answer, call.held))).unzip();
    for ((answer, held), output) in answers.into_iter().zip(run(inputs).await) {
        drop(held);
        // The caller may have gone away; the write is done all the same.
        let _ = answer.send(output);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "these tests wait for every task that they start")]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Sizes = Arc<Mutex<Vec<usize>>>;

    fn recording(limits: BatchLimits, gate: Arc<Notify>) -> (Arc<CallBatcher<u32, u32>>, Sizes) {
        let sizes = Sizes::default();
        let seen = Arc::clone(&sizes);
        let batcher = CallBatcher::start("test", limits, move |inputs: Vec<u32>| {
            seen.lock().unwrap().push(inputs.len());
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                inputs.into_iter().map(|n| Ok(n * 2)).collect()
            }
        });
        (Arc::new(batcher), sizes)
    }

    #[tokio::test]
    async fn calls_during_a_batch_share_the_next_one() {
        let gate = Arc::new(Notify::new());
        let limits = BatchLimits { max_in_flight: 1, ..BatchLimits::default() };
        let (batcher, sizes) = recording(limits, Arc::clone(&gate));
        let calls = (0..10u32).map(|n| {
            let batcher = Arc::clone(&batcher);
            async move { batcher.call(n, 1).await.unwrap() }
        });
        let all = tokio::spawn(futures::future::join_all(calls.collect::<Vec<_>>()));
        while !all.is_finished() {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
        let answers = all.await.unwrap();
        assert_eq!(answers, (0..10).map(|n| n * 2).collect::<Vec<_>>());
        assert!(sizes.lock().unwrap().len() < 10);
        assert_eq!(sizes.lock().unwrap().iter().sum::<usize>(), 10);
    }

    #[tokio::test]
    async fn a_small_batch_waits_while_another_is_in_flight() {
        let gate = Arc::new(Notify::new());
        let limits = BatchLimits { min_calls_alongside: 3, ..BatchLimits::default() };
        let (batcher, sizes) = recording(limits, Arc::clone(&gate));
        let call = |n: u32| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.call(n, 1).await })
        };
        let begun = || sizes.lock().unwrap().clone();
        let mut calls = vec![call(1)];
        while begun() != [1] {
            tokio::task::yield_now().await;
        }
        calls.extend([call(2), call(3)]);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun(), [1], "two are not enough");
        calls.push(call(4));
        while begun() != [1, 3] {
            tokio::task::yield_now().await;
        }
        calls.push(call(5));
        gate.notify_one();
        gate.notify_one();
        while begun() != [1, 3, 1] {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_batch_is_bounded_in_weight() {
        let gate = Arc::new(Notify::new());
        let limits = BatchLimits { max_weight: 10, max_in_flight: 1, ..BatchLimits::default() };
        let (batcher, sizes) = recording(limits, Arc::clone(&gate));
        let calls: Vec<_> = (0..4u32)
            .map(|n| {
                let batcher = Arc::clone(&batcher);
                tokio::spawn(async move { batcher.call(n, 8).await })
            })
            .collect();
        let all = tokio::spawn(futures::future::join_all(calls));
        while !all.is_finished() {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
        assert_eq!(*sizes.lock().unwrap(), [1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn small_calls_do_not_wait_behind_heavy_ones() {
        let limits = BatchLimits { max_in_flight: 1, heavy_weight: 100, ..BatchLimits::default() };
        let gate = Arc::new(Notify::new());
        let holding = Arc::clone(&gate);
        let batcher = CallBatcher::start("test", limits, move |inputs: Vec<u32>| {
            let holding = Arc::clone(&holding);
            async move {
                if inputs.contains(&1) {
                    assert_eq!(inputs, [1], "it is alone in its batch");
                    holding.notified().await;
                }
                inputs.into_iter().map(Ok::<_, StoreError>).collect::<Vec<_>>()
            }
        });
        let heavy = batcher.call(1, 100);
        let small = async {
            let answers = futures::future::join_all((2..50).map(|n| batcher.call(n, 99))).await;
            gate.notify_one();
            answers
        };
        let (heavy, small) = futures::join!(heavy, small);
        assert_eq!(heavy.unwrap(), 1);
        assert_eq!(small.into_iter().map(Result::unwrap).sum::<u32>(), (2..50).sum::<u32>());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_cancels_nothing() {
        let gate = Arc::new(Notify::new());
        let (batcher, sizes) = recording(BatchLimits::default(), Arc::clone(&gate));
        let gone = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { batcher.call(1, 1).await }
        });
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        gone.abort();
        gate.notify_one();
        let other = batcher.call(2, 1);
        gate.notify_one();
        assert_eq!(other.await.unwrap(), 4);
    }

    #[tokio::test]
    async fn calls_above_the_pending_weight_are_rejected_until_it_drops() {
        let gate = Arc::new(Notify::new());
        let limits = BatchLimits { max_pending_weight: 10, ..BatchLimits::default() };
        let (batcher, sizes) = recording(limits, Arc::clone(&gate));
        let first = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { batcher.call(1, 100).await }
        });
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(batcher.call(2, 1).await.is_err());
        gate.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        gate.notify_one();
        assert_eq!(batcher.call(3, 1).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn too_many_waiting_calls_are_rejected() {
        let gate = Arc::new(Notify::new());
        let limits = BatchLimits {
            max_waiting: 1,
            max_in_flight: 1,
            max_calls: 1,
            ..BatchLimits::default()
        };
        let (batcher, _) = recording(limits, Arc::clone(&gate));
        let calls: Vec<_> = (0..20u32)
            .map(|n| {
                let batcher = Arc::clone(&batcher);
                tokio::spawn(async move { batcher.call(n, 1).await })
            })
            .collect();
        let all = tokio::spawn(futures::future::join_all(calls));
        while !all.is_finished() {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
        let refused = all.await.unwrap().into_iter().filter(|r| r.as_ref().unwrap().is_err());
        assert!(refused.count() > 0);
    }
}
