//! Depth of one queue, as far as this node knows.

use longhaul_runtime::spawn;
use longhaul_store::Result;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, timeout},
};

/// Age at which a count is stale, far from the limit and near it.
const MAX_COUNT_AGE: Duration = Duration::from_secs(1);
const MAX_COUNT_AGE_NEAR_LIMIT: Duration = Duration::from_millis(100);

/// Ratio of idle time to counting time: counting takes at most a tenth of the time.
const MIN_IDLE_PER_COUNT: u32 = 10;

/// Time after which a count is given up, and greatest age of a count because counting is slow.
const COUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// Time that a request waits for a count. Then the last count decides, and counting goes on
/// in the background.
const COUNT_WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Depth gauge of one queue.
#[derive(Debug, Default)]
pub struct DepthGauge {
    state: Mutex<GaugeState>,
    /// Held by the one that counts.
    counting: Arc<tokio::sync::Mutex<()>>,
}

/// Need for a new count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CountNeed {
    /// The last count is recent enough.
    Fresh,
    /// The last count will do once more; count in the background.
    Background,
    /// Near the limit: count now unless another request does; the others use the last count.
    IfIdle,
    /// Nothing is known yet: wait for a count.
    Blocking,
}

#[derive(Debug, Default)]
struct GaugeState {
    counted: Option<DepthCount>,
    /// Time of the last failed count, until one succeeds.
    failed: Option<Instant>,
    /// Tasks accepted by this node, ever.
    accepted: u64,
    /// Tasks about to be accepted.
    reserved: u64,
}

/// A count by the store.
#[derive(Debug, Clone, Copy)]
struct DepthCount {
    at: Instant,
    duration: Duration,
    depth: u64,
    /// Value of `accepted` when the count began. Later tasks may be in the count or not, and are
    /// added.
    accepted: u64,
    /// Tasks that left the queue per second since the count before; `None` for the first count.
    leaving_per_second: Option<u64>,
}

impl DepthCount {
    /// Estimated depth: the count and what was accepted since, less what has left at the same rate.
    fn estimate(&self, accepted: u64) -> u64 {
        let age = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left = self.leaving_per_second.unwrap_or(0).saturating_mul(age) / 1_000;
        self.depth.saturating_add(accepted - self.accepted).saturating_sub(left)
    }
}

impl GaugeState {
    fn depth(&self) -> u64 {
        // Before the first count, everything accepted here counts as queued.
        let left = self.counted.map_or(self.accepted, |counted| counted.estimate(self.accepted));
        left.saturating_add(self.reserved)
    }

    fn is_near(&self, limit: u32) -> bool {
        self.depth().saturating_mul(10) >= u64::from(limit).saturating_mul(9)
    }

    fn is_stale(&self, limit: u32) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < MAX_COUNT_AGE) {
            return false;
        }
        let Some(counted) = self.counted else { return true };
        let rest = counted.duration.saturating_mul(MIN_IDLE_PER_COUNT).min(COUNT_TIMEOUT);
        let old = match (self.is_near(limit), counted.leaving_per_second) {
            // Without a known rate of departure, a full queue is counted often, so it rejects no
            // longer than necessary.
            (true, None) => MAX_COUNT_AGE_NEAR_LIMIT,
            (true, Some(_)) => MAX_COUNT_AGE_NEAR_LIMIT.max(rest),
            (false, _) => MAX_COUNT_AGE.max(rest),
        };
        counted.at.elapsed() >= old
    }
}

/// A reserved place in a queue.
#[derive(Debug)]
pub struct DepthPermit(Arc<DepthGauge>);

impl DepthPermit {
    /// Keeps the place: the task is in the queue.
    pub fn consume(self) {
        self.0.state().accepted += 1;
    }
}

impl Drop for DepthPermit {
    fn drop(&mut self) {
        self.0.state().reserved -= 1;
    }
}

impl DepthGauge {
    /// Reserves a place; `None` when the queue is full. Far from the limit no request waits for a
    /// count, near it only the one that counts.
    pub async fn reserve<F>(
        self: &Arc<Self>,
        limit: u32,
        count: impl FnOnce() -> F,
    ) -> Option<DepthPermit>
    where
        F: Future<Output = Result<u32>> + Send + 'static,
    {
        match self.count_need(limit) {
            CountNeed::Fresh => {}
            CountNeed::Background => {
                if let Ok(turn) = Arc::clone(&self.counting).try_lock_owned() {
                    spawn("count-queue", Arc::clone(self).count_and_record(turn, count()));
                }
            }
            CountNeed::IfIdle => {
                if let Ok(turn) = Arc::clone(&self.counting).try_lock_owned() {
                    self.wait_for(Arc::clone(self).count_and_record(turn, count())).await;
                }
            }
            CountNeed::Blocking => {
                let counting = Arc::clone(&self.counting).lock_owned();
                if let Ok(turn) = timeout(COUNT_WAIT_TIMEOUT, counting).await {
                    // Another request may have counted meanwhile.
                    if self.count_need(limit) != CountNeed::Fresh {
                        self.wait_for(Arc::clone(self).count_and_record(turn, count())).await;
                    }
                }
            }
        }
        let mut state = self.state();
        // The newest count decides, also if another request has made it.
        if state.depth() >= u64::from(limit) {
            return None;
        }
        state.reserved += 1;
        Some(DepthPermit(Arc::clone(self)))
    }

    fn count_need(&self, limit: u32) -> CountNeed {
        let state = self.state();
        match (state.is_stale(limit), state.counted.is_some(), state.is_near(limit)) {
            (false, ..) => CountNeed::Fresh,
            (true, true, false) => CountNeed::Background,
            (true, true, true) => CountNeed::IfIdle,
            (true, false, _) => CountNeed::Blocking,
        }
    }

    /// Waits for a count, but not for long: a deep queue takes long to count, and the count goes on
    /// in the background.
    async fn wait_for(&self, counted: impl Future<Output = ()> + Send + 'static) {
        if timeout(COUNT_WAIT_TIMEOUT, spawn("count-queue", counted)).await.is_err() {
            tracing::warn!("queue count slow: using the last one");
        }
    }

    /// Counts and records the result; `turn` ensures one count at a time.
    async fn count_and_record(
        self: Arc<Self>,
        turn: OwnedMutexGuard<()>,
        count: impl Future<Output = Result<u32>> + Send,
    ) {
        let (begun, accepted) = (Instant::now(), self.state().accepted);
        let counted = match timeout(COUNT_TIMEOUT, count).await {
            Ok(Ok(depth)) => Ok(u64::from(depth)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        };
        let at = Instant::now();
        let mut state = self.state();
        let depth = match counted {
            Ok(depth) => depth,
            // The last count stands: a full queue is not empty because it cannot be counted.
            Err(error) => {
                tracing::warn!(error, "queue count failed: using the last one");
                state.failed = Some(at);
                return;
            }
        };
        state.failed = None;
        let leaving_per_second = state.counted.map(|last| {
            let left = (last.depth + (accepted - last.accepted)).saturating_sub(depth);
            let millis = u64::try_from((begun - last.at).as_millis()).unwrap_or(u64::MAX);
            left.saturating_mul(1_000) / millis.max(1)
        });
        state.counted =
            Some(DepthCount { at, duration: at - begun, depth, accepted, leaving_per_second });
        drop(state);
        // The count is recorded before the next one may begin.
        drop(turn);
    }

    fn state(&self) -> MutexGuard<'_, GaugeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_store::StoreError;
    use std::{
        future::{Ready, ready},
        sync::atomic::{AtomicU32, Ordering},
    };
    use tokio::time::advance;

    /// A store that records how often it is asked.
    #[derive(Default)]
    struct Depth {
        depth: AtomicU32,
        asked: AtomicU32,
    }

    impl Depth {
        fn count(&self) -> Ready<Result<u32>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            ready(Ok(self.depth.load(Ordering::Relaxed)))
        }
        fn asked(&self) -> u32 {
            self.asked.load(Ordering::Relaxed)
        }
    }

    async fn accept(gauge: &Arc<DepthGauge>, limit: u32, depth: &Depth) -> bool {
        let permit = gauge.reserve(limit, || depth.count()).await;
        permit.map(DepthPermit::consume).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn far_from_the_limit_one_count_serves_a_second_of_requests() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        for _ in 0..500 {
            assert!(accept(&gauge, 1_000, &depth).await);
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(depth.asked(), 1);
        advance(MAX_COUNT_AGE).await;
        assert!(accept(&gauge, 1_000, &depth).await);
        assert_eq!(depth.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_holds_exactly_and_a_full_queue_is_counted_ten_times_a_second() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        for _ in 0..10 {
            assert!(accept(&gauge, 10, &depth).await);
        }
        for _ in 0..100 {
            assert!(!accept(&gauge, 10, &depth).await);
        }
        assert_eq!(depth.asked(), 1);
        depth.depth.store(9, Ordering::Relaxed);
        advance(MAX_COUNT_AGE_NEAR_LIMIT).await;
        assert!(accept(&gauge, 10, &depth).await);
        assert!(!accept(&gauge, 10, &depth).await);
        assert_eq!(depth.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_leave_between_two_counts_free_places() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        // A thousand tasks come and go per second, and counting is so slow that there is one count
        // a second.
        for _ in 0..4_000 {
            let slow = || {
                depth.asked.fetch_add(1, Ordering::Relaxed);
                async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok(100)
                }
            };
            let permit = gauge.reserve(1_000, slow).await;
            permit.map(DepthPermit::consume).expect("at most a few hundred wait");
            advance(Duration::from_millis(1)).await;
        }
        assert!((3..=8).contains(&depth.asked()), "{}", depth.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn near_the_limit_no_request_waits_for_anothers_count() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        while accept(&gauge, 10, &depth).await {}
        advance(MAX_COUNT_AGE_NEAR_LIMIT).await;
        let counts = gauge.reserve(10, std::future::pending);
        let mut counts = std::pin::pin!(counts);
        assert!(futures::poll!(counts.as_mut()).is_pending());
        assert!(!accept(&gauge, 10, &depth).await);
        assert_eq!(depth.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unused_place_is_returned() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        let permit = gauge.reserve(1, || depth.count()).await;
        assert!(permit.is_some() && !accept(&gauge, 1, &depth).await);
        drop(permit);
        assert!(accept(&gauge, 1, &depth).await);
    }

    #[tokio::test(start_paused = true)]
    async fn counting_takes_at_most_a_tenth_of_the_time() {
        let (gauge, asked) = (Arc::new(DepthGauge::default()), Arc::new(AtomicU32::new(0)));
        for _ in 0..4 {
            let slow = || {
                asked.fetch_add(1, Ordering::Relaxed);
                async {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(0)
                }
            };
            assert!(gauge.reserve(1_000, slow).await.is_some());
            advance(Duration::from_secs(2)).await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn far_from_the_limit_no_request_waits_for_a_count() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        assert!(accept(&gauge, 1_000, &depth).await);
        advance(MAX_COUNT_AGE).await;
        assert!(gauge.reserve(1_000, std::future::pending).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_or_hanging_store_rejects_nothing() {
        let gauge = Arc::new(DepthGauge::default());
        let fails = || async { Err(StoreError::Unavailable("away".to_owned())) };
        assert!(gauge.reserve(1, fails).await.is_some());
        advance(COUNT_TIMEOUT).await;
        assert!(gauge.reserve(1, std::future::pending).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_is_slow_to_count_can_still_be_full() {
        const QUEUE_LIMIT: u32 = 100;
        let gauge = Arc::new(DepthGauge::default());
        let slow = || async {
            tokio::time::sleep(COUNT_WAIT_TIMEOUT * 3).await;
            Ok(QUEUE_LIMIT)
        };
        // Nothing is known yet, and the request waits no longer than that.
        assert!(gauge.reserve(QUEUE_LIMIT, slow).await.is_some());
        tokio::time::sleep(COUNT_WAIT_TIMEOUT * 3).await;
        for _ in 0..5 {
            assert!(gauge.reserve(QUEUE_LIMIT, slow).await.is_none());
            tokio::time::sleep(MAX_COUNT_AGE).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_stays_full_when_counting_fails() {
        let (gauge, depth) = (Arc::new(DepthGauge::default()), Depth::default());
        depth.depth.store(10, Ordering::Relaxed);
        assert!(!accept(&gauge, 10, &depth).await);
        advance(MAX_COUNT_AGE_NEAR_LIMIT).await;
        let fails = || async { Err(StoreError::Unavailable("away".to_owned())) };
        assert!(gauge.reserve(10, fails).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_count_a_node_accepts_at_most_the_limit() {
        let gauge = Arc::new(DepthGauge::default());
        let fails = || async { Err(StoreError::Unavailable("away".to_owned())) };
        for _ in 0..10 {
            gauge.reserve(10, fails).await.expect("there is room").consume();
        }
        assert!(gauge.reserve(10, fails).await.is_none());
    }
}
