//! How deep one queue is, as far as this node knows.

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

/// How old a count may be, far from the limit and near it.
const FAR: Duration = Duration::from_secs(1);
const NEAR: Duration = Duration::from_millis(100);

/// Counting takes at most one part in so many of the time.
const SHARE: u32 = 10;

/// The longest that a count may be old because counting takes long.
const OLDEST: Duration = Duration::from_secs(30);

/// How long a count is waited for; then the request goes on by what is known, and the count in the background.
const PATIENCE: Duration = Duration::from_secs(1);

/// One queue.
#[derive(Debug, Default)]
pub struct Gauge {
    state: Mutex<State>,
    /// Held by the one that counts.
    counting: Arc<tokio::sync::Mutex<()>>,
}

/// Whether to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// What is known will do.
    Fresh,
    /// It will do once more, and somebody should count.
    Old,
    /// Whoever can count does it now; for the others it will do.
    Close,
    /// Nothing is known.
    Needed,
}

#[derive(Debug, Default)]
struct State {
    counted: Option<Counted>,
    /// When a count failed that nothing has replaced.
    failed: Option<Instant>,
    /// Accepted here, ever.
    accepted: u64,
    /// About to be accepted.
    under_way: u64,
}

/// A count of the store's.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at: Instant,
    took: Duration,
    depth: u64,
    /// Accepted here when the count began: later ones may be in it or not, and count.
    accepted: u64,
    /// How many a second left the queue since the count before; none: it is the first count.
    leaving: Option<u64>,
}

impl Counted {
    /// What is left of the count and of what was accepted since, if as many leave as did before.
    fn left(&self, accepted: u64) -> u64 {
        let age = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left = self.leaving.unwrap_or(0).saturating_mul(age) / 1_000;
        self.depth.saturating_add(accepted - self.accepted).saturating_sub(left)
    }
}

impl State {
    fn depth(&self) -> u64 {
        // Before the first count, what was accepted here waits for all that is known.
        let left = self.counted.map_or(self.accepted, |counted| counted.left(self.accepted));
        left.saturating_add(self.under_way)
    }

    fn is_near(&self, limit: u32) -> bool {
        self.depth().saturating_mul(10) >= u64::from(limit).saturating_mul(9)
    }

    fn is_stale(&self, limit: u32) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < FAR) {
            return false;
        }
        let Some(counted) = self.counted else { return true };
        let rest = counted.took.saturating_mul(SHARE).min(OLDEST);
        let old = match (self.is_near(limit), counted.leaving) {
            // Nobody is turned away for long before it is known how many leave.
            (true, None) => NEAR,
            (true, Some(_)) => NEAR.max(rest),
            (false, _) => FAR.max(rest),
        };
        counted.at.elapsed() >= old
    }
}

/// A place in a queue.
#[derive(Debug)]
pub struct Place(Arc<Gauge>);

impl Place {
    /// Somebody has it for good.
    pub fn taken(self) {
        self.0.state().accepted += 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

impl Gauge {
    /// A place in the queue; none: it is full. Counts where it must; far from the limit nobody waits for that, and near it
    /// only the one that counts.
    pub async fn place<F>(self: &Arc<Self>, limit: u32, count: impl FnOnce() -> F) -> Option<Place>
    where
        F: Future<Output = Result<u32>> + Send + 'static,
    {
        match self.look(limit) {
            Look::Fresh => {}
            Look::Old => {
                if let Ok(turn) = Arc::clone(&self.counting).try_lock_owned() {
                    spawn("count-queue", Arc::clone(self).counted(turn, count()));
                }
            }
            Look::Close => {
                if let Ok(turn) = Arc::clone(&self.counting).try_lock_owned() {
                    self.wait_for(Arc::clone(self).counted(turn, count())).await;
                }
            }
            Look::Needed => {
                let counting = Arc::clone(&self.counting).lock_owned();
                if let Ok(turn) = timeout(PATIENCE, counting).await {
                    // Somebody else may have counted meanwhile.
                    if self.look(limit) != Look::Fresh {
                        self.wait_for(Arc::clone(self).counted(turn, count())).await;
                    }
                }
            }
        }
        let mut state = self.state();
        if state.depth() >= u64::from(limit) {
            return None;
        }
        state.under_way += 1;
        Some(Place(Arc::clone(self)))
    }

    fn look(&self, limit: u32) -> Look {
        let state = self.state();
        match (state.is_stale(limit), state.counted.is_some(), state.is_near(limit)) {
            (false, ..) => Look::Fresh,
            (true, true, false) => Look::Old,
            (true, true, true) => Look::Close,
            (true, false, _) => Look::Needed,
        }
    }

    /// Waits for a count for a while. A deep queue takes long to count, so the count goes on when nobody waits for it any longer.
    async fn wait_for(&self, counted: impl Future<Output = ()> + Send + 'static) {
        if timeout(PATIENCE, spawn("count-queue", counted)).await.is_err() {
            tracing::warn!("queue count is slow; admitting by the last one");
        }
    }

    /// Remembers a count; whoever has the turn, one at a time.
    async fn counted(
        self: Arc<Self>,
        turn: OwnedMutexGuard<()>,
        count: impl Future<Output = Result<u32>> + Send,
    ) {
        let (begun, accepted) = (Instant::now(), self.state().accepted);
        let counted = match timeout(OLDEST, count).await {
            Ok(Ok(depth)) => Ok(u64::from(depth)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        };
        let at = Instant::now();
        let mut state = self.state();
        let depth = match counted {
            Ok(depth) => depth,
            // What was known stays known: a full queue is no empty one because it cannot be counted.
            Err(error) => {
                tracing::warn!(error, "queue count failed; admitting by the last one");
                state.failed = Some(at);
                return;
            }
        };
        state.failed = None;
        let leaving = state.counted.map(|last| {
            let left = (last.depth + (accepted - last.accepted)).saturating_sub(depth);
            let millis = u64::try_from((begun - last.at).as_millis()).unwrap_or(u64::MAX);
            left.saturating_mul(1_000) / millis.max(1)
        });
        state.counted = Some(Counted { at, took: at - begun, depth, accepted, leaving });
        drop(state);
        drop(turn);
    }

    fn state(&self) -> MutexGuard<'_, State> {
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

    /// A store that counts how often it is asked.
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

    async fn accept(gauge: &Arc<Gauge>, limit: u32, depth: &Depth) -> bool {
        let place = gauge.place(limit, || depth.count()).await;
        place.map(Place::taken).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn far_from_the_limit_a_second_of_requests_costs_one_count() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        for _ in 0..500 {
            assert!(accept(&gauge, 1_000, &depth).await);
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(depth.asked(), 1);
        advance(FAR).await;
        assert!(accept(&gauge, 1_000, &depth).await);
        assert_eq!(depth.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_kept_exactly_and_a_full_queue_is_counted_ten_times_a_second() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        for _ in 0..10 {
            assert!(accept(&gauge, 10, &depth).await);
        }
        for _ in 0..100 {
            assert!(!accept(&gauge, 10, &depth).await);
        }
        assert_eq!(depth.asked(), 1);
        depth.depth.store(9, Ordering::Relaxed);
        advance(NEAR).await;
        assert!(accept(&gauge, 10, &depth).await);
        assert!(!accept(&gauge, 10, &depth).await);
        assert_eq!(depth.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_workers_take_away_between_two_counts_makes_room() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        // A thousand come and go in a second, and a count takes so long that there is one a second.
        for _ in 0..4_000 {
            let slow = || {
                depth.asked.fetch_add(1, Ordering::Relaxed);
                async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok(100)
                }
            };
            let place = gauge.place(1_000, slow).await;
            place.map(Place::taken).expect("at most a few hundred wait");
            advance(Duration::from_millis(1)).await;
        }
        assert!((3..=8).contains(&depth.asked()), "{}", depth.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn near_the_limit_nobody_waits_for_a_count_of_somebody_else() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        while accept(&gauge, 10, &depth).await {}
        advance(NEAR).await;
        let counts = gauge.place(10, std::future::pending);
        let mut counts = std::pin::pin!(counts);
        assert!(futures::poll!(counts.as_mut()).is_pending());
        assert!(!accept(&gauge, 10, &depth).await);
        assert_eq!(depth.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_not_used_is_given_back() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        let place = gauge.place(1, || depth.count()).await;
        assert!(place.is_some() && !accept(&gauge, 1, &depth).await);
        drop(place);
        assert!(accept(&gauge, 1, &depth).await);
    }

    #[tokio::test(start_paused = true)]
    async fn counting_takes_no_more_than_its_share() {
        let (gauge, asked) = (Arc::new(Gauge::default()), Arc::new(AtomicU32::new(0)));
        for _ in 0..4 {
            let slow = || {
                asked.fetch_add(1, Ordering::Relaxed);
                async {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(0)
                }
            };
            assert!(gauge.place(1_000, slow).await.is_some());
            advance(Duration::from_secs(2)).await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn far_from_the_limit_nobody_waits_for_a_count() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        assert!(accept(&gauge, 1_000, &depth).await);
        advance(FAR).await;
        assert!(gauge.place(1_000, std::future::pending).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_or_hangs_turns_nobody_away() {
        let gauge = Arc::new(Gauge::default());
        let fails = || async { Err(StoreError::Unavailable("away".to_owned())) };
        assert!(gauge.place(1, fails).await.is_some());
        advance(OLDEST).await;
        assert!(gauge.place(1, std::future::pending).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_takes_long_to_count_is_full_all_the_same() {
        const LIMIT: u32 = 100;
        let gauge = Arc::new(Gauge::default());
        let slow = || async {
            tokio::time::sleep(PATIENCE * 3).await;
            Ok(LIMIT)
        };
        // Nothing is known yet, and nobody waits for longer than that.
        assert!(gauge.place(LIMIT, slow).await.is_some());
        tokio::time::sleep(PATIENCE * 3).await;
        for _ in 0..5 {
            assert!(gauge.place(LIMIT, slow).await.is_none());
            tokio::time::sleep(FAR).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_no_empty_one_when_the_store_fails() {
        let (gauge, depth) = (Arc::new(Gauge::default()), Depth::default());
        depth.depth.store(10, Ordering::Relaxed);
        assert!(!accept(&gauge, 10, &depth).await);
        advance(NEAR).await;
        let fails = || async { Err(StoreError::Unavailable("away".to_owned())) };
        assert!(gauge.place(10, fails).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_count_a_node_lets_in_no_more_than_the_limit() {
        let gauge = Arc::new(Gauge::default());
        let fails = || async { Err(StoreError::Unavailable("away".to_owned())) };
        for _ in 0..10 {
            gauge.place(10, fails).await.expect("there is room").taken();
        }
        assert!(gauge.place(10, fails).await.is_none());
    }
}
