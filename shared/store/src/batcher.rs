//! Group commit: concurrent calls of one kind become one batch.
//!
//! Whatever arrived while earlier batches were under way goes into the next one; a lone call waits for nobody, and
//! there is no timer. A batch runs in a task of its own: a caller that goes away cancels nothing, and every caller
//! gets its own answer. When the process dies in the middle, the batch is committed whole or not at all.
//!
//! Heavy calls have a lane of their own, so that a small call neither shares a batch with megabytes nor waits behind them.

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

/// How large a batch may grow and how many may be under way.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Calls in one batch.
    pub calls: usize,
    /// Weight of one batch, in the unit of [`CallBatcher::call`] (bytes); one call over it goes alone.
    pub weight: usize,
    /// Weight from which on a call is heavy. Batches of heavy calls are under way one at a time, beside all others.
    pub heavy: usize,
    /// Batches under way at once.
    pub max_in_flight: usize,
    /// Beside another batch one begins only with as many calls as this: fewer are better off together with those that come
    /// until the other one is done.
    pub min_calls_alongside: usize,
    /// Calls that wait; a further one is turned away as unavailable.
    pub waiting: usize,
    /// Weight of all calls that wait or are under way; likewise.
    pub held: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            calls: 128,
            weight: 4 << 20,
            heavy: 256 << 10,
            max_in_flight: 2,
            min_calls_alongside: 1,
            waiting: 10_000,
            held: 256 << 20,
        }
    }
}

struct Call<In, Out> {
    input: In,
    weight: usize,
    answer: oneshot::Sender<Result<Out>>,
    held: Held,
}

/// Counts the weight of a call until it is done, also when its caller has gone away.
struct Held {
    all: Arc<AtomicUsize>,
    weight: usize,
}

impl Held {
    /// Takes a weight on; `None` when that is too much. One call alone is never too much.
    fn take(all: &Arc<AtomicUsize>, weight: usize, most: usize) -> Option<Self> {
        let before = all.fetch_add(weight, Ordering::Relaxed);
        let held = Self { all: Arc::clone(all), weight };
        (before == 0 || before.saturating_add(weight) <= most).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

/// Turns concurrent calls into batches.
pub struct CallBatcher<In, Out> {
    calls: mpsc::Sender<Call<In, Out>>,
    heavy_calls: mpsc::Sender<Call<In, Out>>,
    held: Arc<AtomicUsize>,
    bounds: BatchLimits,
    name: &'static str,
}

impl<In: Send + 'static, Out: Send + 'static> CallBatcher<In, Out> {
    /// Starts a combiner. `run` gets the inputs of a batch and gives one answer for each, in the same order.
    pub fn start<F, Fut>(name: &'static str, bounds: BatchLimits, run: F) -> Self
    where
        F: Fn(Vec<In>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Result<Out>>> + Send + 'static,
    {
        let run = Arc::new(run);
        let lane = |bounds: BatchLimits| {
            let (sender, receiver) = mpsc::channel(bounds.waiting.max(1));
            spawn(name, collect(name, bounds, receiver, Arc::clone(&run)));
            sender
        };
        let calls = lane(bounds);
        let heavy_calls = lane(BatchLimits { max_in_flight: 1, ..bounds });
        Self { calls, heavy_calls, held: Arc::default(), bounds, name }
    }

    /// Makes one call and waits for its answer. `weight` is its size in bytes.
    pub async fn call(&self, input: In, weight: usize) -> Result<Out> {
        let (answer, answered) = oneshot::channel();
        let Some(held) = Held::take(&self.held, weight, self.bounds.held) else {
            return Err(self.broken("holds too much that waits"));
        };
        let lane = if weight < self.bounds.heavy { &self.calls } else { &self.heavy_calls };
        match lane.try_send(Call { input, weight, answer, held }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(self.broken("was stopped"))),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(self.broken("has too many calls waiting"))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.broken("is closed")),
        }
    }

    fn broken(&self, how: &str) -> StoreError {
        StoreError::Unavailable(format!("{} {how}", self.name))
    }
}

async fn collect<In, Out, F, Fut>(
    name: &'static str,
    bounds: BatchLimits,
    mut calls: mpsc::Receiver<Call<In, Out>>,
    run: Arc<F>,
) where
    In: Send + 'static,
    Out: Send + 'static,
    F: Fn(Vec<In>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<Result<Out>>> + Send + 'static,
{
    let slots =
        Arc::new(Slots { free: Semaphore::new(bounds.max_in_flight.max(1)), over: Notify::new() });
    let mut carried = None;
    loop {
        let Some(first) = (match carried.take() {
            Some(call) => Some(call),
            None => calls.recv().await,
        }) else {
            return;
        };
        let mut batch = Batch { weight: first.weight, calls: vec![first] };
        // Waiting for a slot is what lets a batch grow.
        let slot = loop {
            let over = slots.over.notified();
            carried = carried.or_else(|| batch.gather(&bounds, &mut calls));
            if let Some(slot) = slots.begin(&bounds, &batch, carried.is_some()) {
                break slot;
            }
            let full = carried.is_some() || batch.calls.len() >= bounds.calls;
            tokio::select! {
                () = over => {}
                Some(call) = calls.recv(), if !full => carried = batch.add(call, &bounds),
            }
        };
        let run = Arc::clone(&run);
        spawn(name, async move {
            run_batch(&*run, batch.calls).await;
            drop(slot);
        });
    }
}

/// Calls that will go together.
struct Batch<In, Out> {
    calls: Vec<Call<In, Out>>,
    weight: usize,
}

impl<In, Out> Batch<In, Out> {
    /// Adds a call; gives it back where it does not fit any more.
    fn add(&mut self, call: Call<In, Out>, bounds: &BatchLimits) -> Option<Call<In, Out>> {
        if self.weight + call.weight > bounds.weight {
            return Some(call);
        }
        self.weight += call.weight;
        self.calls.push(call);
        None
    }

    /// Adds what waits; gives the first that does not fit any more.
    fn gather(
        &mut self,
        bounds: &BatchLimits,
        calls: &mut mpsc::Receiver<Call<In, Out>>,
    ) -> Option<Call<In, Out>> {
        while self.calls.len() < bounds.calls {
            let call = calls.try_recv().ok()?;
            if let Some(call) = self.add(call, bounds) {
                return Some(call);
            }
        }
        None
    }
}

/// Room for batches.
struct Slots {
    free: Semaphore,
    /// Rung when a batch is over.
    over: Notify,
}

/// The room of one batch, until it is over.
struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.free.add_permits(1);
        self.0.over.notify_one();
    }
}

impl Slots {
    /// Room for this batch, if it may begin now. `full`: nothing more fits.
    fn begin<In, Out>(
        self: &Arc<Self>,
        bounds: &BatchLimits,
        batch: &Batch<In, Out>,
        full: bool,
    ) -> Option<Slot> {
        let alone = self.free.available_permits() >= bounds.max_in_flight.max(1);
        if !(alone || full || batch.calls.len() >= bounds.min_calls_alongside.min(bounds.calls)) {
            return None;
        }
        self.free.try_acquire().ok()?.forget();
        Some(Slot(Arc::clone(self)))
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
        // A caller that has gone away needs no answer; what it asked for is done.
        let _ = answer.send(output);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "these tests wait for every task that they start")]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Sizes = Arc<Mutex<Vec<usize>>>;

    fn recording(bounds: BatchLimits, gate: Arc<Notify>) -> (Arc<CallBatcher<u32, u32>>, Sizes) {
        let sizes = Sizes::default();
        let seen = Arc::clone(&sizes);
        let combiner = CallBatcher::start("test", bounds, move |inputs: Vec<u32>| {
            seen.lock().unwrap().push(inputs.len());
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                inputs.into_iter().map(|n| Ok(n * 2)).collect()
            }
        });
        (Arc::new(combiner), sizes)
    }

    #[tokio::test]
    async fn what_arrives_meanwhile_goes_together_and_each_gets_its_answer() {
        let gate = Arc::new(Notify::new());
        let bounds = BatchLimits { max_in_flight: 1, ..BatchLimits::default() };
        let (combiner, sizes) = recording(bounds, Arc::clone(&gate));
        let calls = (0..10u32).map(|n| {
            let combiner = Arc::clone(&combiner);
            async move { combiner.call(n, 1).await.unwrap() }
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
    async fn beside_another_batch_one_waits_for_company() {
        let gate = Arc::new(Notify::new());
        let bounds = BatchLimits { min_calls_alongside: 3, ..BatchLimits::default() };
        let (combiner, sizes) = recording(bounds, Arc::clone(&gate));
        let call = |n: u32| {
            let combiner = Arc::clone(&combiner);
            tokio::spawn(async move { combiner.call(n, 1).await })
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
        let bounds = BatchLimits { weight: 10, max_in_flight: 1, ..BatchLimits::default() };
        let (combiner, sizes) = recording(bounds, Arc::clone(&gate));
        let calls: Vec<_> = (0..4u32)
            .map(|n| {
                let combiner = Arc::clone(&combiner);
                tokio::spawn(async move { combiner.call(n, 8).await })
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
        let bounds = BatchLimits { max_in_flight: 1, heavy: 100, ..BatchLimits::default() };
        let gate = Arc::new(Notify::new());
        let holding = Arc::clone(&gate);
        let batcher = CallBatcher::start("test", bounds, move |inputs: Vec<u32>| {
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
        let (combiner, sizes) = recording(BatchLimits::default(), Arc::clone(&gate));
        let gone = tokio::spawn({
            let combiner = Arc::clone(&combiner);
            async move { combiner.call(1, 1).await }
        });
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        gone.abort();
        gate.notify_one();
        let other = combiner.call(2, 1);
        gate.notify_one();
        assert_eq!(other.await.unwrap(), 4);
    }

    #[tokio::test]
    async fn too_much_that_waits_is_turned_away_and_room_comes_back() {
        let gate = Arc::new(Notify::new());
        let bounds = BatchLimits { held: 10, ..BatchLimits::default() };
        let (combiner, sizes) = recording(bounds, Arc::clone(&gate));
        let first = tokio::spawn({
            let combiner = Arc::clone(&combiner);
            async move { combiner.call(1, 100).await }
        });
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(combiner.call(2, 1).await.is_err());
        gate.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        gate.notify_one();
        assert_eq!(combiner.call(3, 1).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn too_many_waiting_calls_are_turned_away() {
        let gate = Arc::new(Notify::new());
        let bounds =
            BatchLimits { waiting: 1, max_in_flight: 1, calls: 1, ..BatchLimits::default() };
        let (combiner, _) = recording(bounds, Arc::clone(&gate));
        let calls: Vec<_> = (0..20u32)
            .map(|n| {
                let combiner = Arc::clone(&combiner);
                tokio::spawn(async move { combiner.call(n, 1).await })
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
