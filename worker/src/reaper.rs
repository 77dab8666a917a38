//! Does what is overdue: offers the runs of dead workers again, wakes what has become due, and hears of what the store has
//! ended. Every worker does so; any number at once is fine, and one that dies in the middle leaves the rest to the others.

use crate::{running::Running, why::Why};
use longhaul_dispatch::{WakeHint, Waker};
use longhaul_runtime::Backoff;
use longhaul_store::{ReapOutcome, ReapRequest, Reaped, WorkerStore};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Runs reaped at once.
const BATCH: u32 = 100;

/// No store wants to be asked more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// When a reaper shall look earlier than it would by itself; clones share it.
#[derive(Clone, Default)]
pub struct Alarm(Arc<AlarmState>);

#[derive(Default)]
struct AlarmState {
    at: Mutex<Option<Instant>>,
    set: Notify,
}

impl Alarm {
    /// Something is due after this long from now.
    pub fn ring_in(&self, delay: Duration) {
        let Some(at) = Instant::now().checked_add(delay) else { return };
        let mut earliest = self.0.at.lock().unwrap_or_else(PoisonError::into_inner);
        if earliest.is_none_or(|earliest| at < earliest) {
            *earliest = Some(at);
            drop(earliest);
            self.0.set.notify_one();
        }
    }

    /// Waits until then, or until it rings. A look that follows learns from the store what comes next.
    async fn wait_until(&self, planned: Instant) {
        loop {
            let earliest = *self.0.at.lock().unwrap_or_else(PoisonError::into_inner);
            let until = earliest.map_or(planned, |earliest| earliest.min(planned));
            tokio::select! {
                () = sleep_until(until) => break,
                () = self.0.set.notified() => {}
            }
        }
        let mut earliest = self.0.at.lock().unwrap_or_else(PoisonError::into_inner);
        if earliest.is_some_and(|earliest| earliest <= Instant::now()) {
            *earliest = None;
        }
    }
}

/// The reaper of one worker.
pub struct Reaper {
    pub store: Arc<dyn WorkerStore>,
    pub waker: Arc<dyn Waker>,
    pub running: Running,
    pub alarm: Alarm,
    /// When as many workers in a row as this were lost while they ran a task, it fails.
    pub max_losses: u32,
    /// A task whose deadline has passed while a worker runs it is ended by force after this long.
    pub grace: Duration,
    /// How long a worker may be silent before it counts as dead.
    pub lease: Duration,
}

impl Reaper {
    /// Looks for as long as the worker runs.
    pub async fn run(self) {
        let reap = ReapRequest { limit: BATCH, max_losses: self.max_losses, grace: self.grace };
        let mut failures = 0;
        loop {
            match timeout(self.lease, self.store.reap(reap)).await {
                Ok(Ok(ReapOutcome { done, again_in })) => {
                    failures = 0;
                    let full = done.len() >= BATCH as usize;
                    announce(&*self.waker, &self.running, done);
                    if full {
                        tokio::task::yield_now().await;
                    } else {
                        self.alarm.wait_until(Instant::now() + self.pause(again_in)).await;
                    }
                    continue;
                }
                Ok(Err(error)) => tracing::warn!(%error, "cannot look for what is overdue"),
                Err(_) => {
                    tracing::warn!("cannot look for what is overdue: the store does not answer");
                }
            }
            sleep(Backoff::DATABASE.random_delay(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// When the store says when to look, that is when. The longest pause is a share of the lease, give or take.
    fn pause(&self, again_in: Duration) -> Duration {
        let longest = self.lease / 5;
        if again_in < longest {
            return again_in.max(SHORTEST);
        }
        let jitter = Backoff { initial: longest, factor: 1.0, max: longest, jitter: true };
        longest / 2 + jitter.random_delay(0) / 2
    }
}

/// Wakes a worker for every run that is offered again or has become due, and stops what was ended by force.
pub fn announce(waker: &dyn Waker, running: &Running, reaped: Vec<Reaped>) {
    for reaped in reaped {
        match reaped {
            Reaped::Offered { key, agent } => {
                tracing::warn!(task_id = %key.task, %agent, "a lost run is offered again");
                waker.wake(WakeHint { agent, task: key, trace: None });
            }
            Reaped::Due { key, agent } => {
                tracing::debug!(task_id = %key.task, %agent, "due now");
                waker.wake(WakeHint { agent, task: key, trace: None });
            }
            Reaped::Canceled { key } => {
                tracing::info!(task_id = %key.task, "canceled: its executor did not stop in time");
                running.stop(key, Why::LeaseLost);
            }
            Reaped::Failed { key, because } => {
                tracing::error!(task_id = %key.task, %because, "task failed");
                running.stop(key, Why::LeaseLost);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        signals::RunSignals,
        testing::{Asked, Scripted, Woken, away, fence, key, script},
    };
    use longhaul_domain::{AgentName, FailureKind};

    const LEASE: Duration = Duration::from_secs(15);
    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Default)]
    struct Scene {
        store: Arc<Scripted>,
        woken: Arc<Woken>,
        running: Running,
        alarm: Alarm,
    }

    impl Scene {
        /// Reaps for so long; gives how long after the beginning the store was asked each time.
        async fn reap_for(&self, period: Duration) -> Vec<Duration> {
            let begin = Instant::now();
            let reaper = Reaper {
                store: Arc::<Scripted>::clone(&self.store),
                waker: Arc::<Woken>::clone(&self.woken),
                running: self.running.clone(),
                alarm: self.alarm.clone(),
                max_losses: 3,
                grace: SECOND,
                lease: LEASE,
            };
            // It never ends by itself.
            let _ = timeout(period, reaper.run()).await;
            let asked = self.store.times(|asked| *asked == Asked::Reap);
            asked.into_iter().map(|at| at - begin).collect()
        }
    }

    fn nothing(again_in: Duration) -> ReapOutcome {
        ReapOutcome { done: Vec::new(), again_in }
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_when_the_store_says() {
        let scene = Scene::default();
        script(&scene.store.reap, || Ok(nothing(SECOND)));
        let looks = scene.reap_for(SECOND * 10 + SECOND / 2).await;
        assert_eq!(looks.len(), 11);
        assert!(looks.windows(2).all(|pair| pair[1] < pair[0] + SECOND + SECOND / 100));
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_from_time_to_time_whatever_the_store_says() {
        let scene = Scene::default();
        script(&scene.store.reap, || Ok(nothing(SECOND * 3600)));
        let looks = scene.reap_for(SECOND * 60).await;
        assert!(looks.windows(2).all(|pair| pair[1] <= pair[0] + LEASE / 5 + SECOND / 100));
        assert!((20..=41).contains(&looks.len()), "{looks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_earlier_when_something_is_due_that_the_store_could_not_tell() {
        let scene = Scene::default();
        script(&scene.store.reap, || Ok(nothing(SECOND * 3600)));
        scene.alarm.ring_in(SECOND / 2);
        scene.alarm.ring_in(SECOND / 4);
        let looks = scene.reap_for(SECOND).await;
        assert_eq!(looks.len(), 2, "{looks:?}");
        assert_eq!(looks[1].as_millis() / 10, 25, "the earlier alarm");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_ends_no_reaper() {
        let scene = Scene::default();
        let begin = Instant::now();
        script(&scene.store.reap, move || {
            if begin.elapsed() < SECOND * 60 { away() } else { Ok(nothing(SECOND)) }
        });
        let looks = scene.reap_for(SECOND * 90).await;
        let (while_away, after): (Vec<_>, Vec<_>) =
            looks.into_iter().partition(|at| *at < SECOND * 60);
        assert!(while_away.len() < 200, "it backs off: {}", while_away.len());
        assert!(after.len() >= 20, "{}", after.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_is_asked_again() {
        let scene = Scene::default();
        assert!(scene.reap_for(LEASE * 10).await.len() > 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_runnable_wakes_and_what_was_ended_stops() {
        let scene = Scene::default();
        let agent = || AgentName::new("a").unwrap();
        let mut done = vec![
            Reaped::Offered { key: key(1), agent: agent() },
            Reaped::Due { key: key(2), agent: agent() },
            Reaped::Canceled { key: key(3) },
            Reaped::Failed { key: key(4), because: FailureKind::Deadline },
        ];
        let signals = [3, 4, 5].map(|task| {
            let signals = Arc::new(RunSignals::new());
            (scene.running.register(key(task), fence(1), Arc::clone(&signals)), signals)
        });
        script(&scene.store.reap, move || {
            Ok(ReapOutcome { done: std::mem::take(&mut done), again_in: SECOND })
        });
        scene.reap_for(SECOND / 2).await;
        assert_eq!(*scene.woken.0.lock().unwrap(), [key(1), key(2)]);
        let why = signals.map(|(_, signals)| signals.why());
        assert_eq!(why, [Some(Why::LeaseLost), Some(Why::LeaseLost), None]);
    }
}
