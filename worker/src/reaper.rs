//! Reaps overdue runs: offers the runs of dead workers again, wakes runs that have become due, and
//! stops local runs that the store has ended.
//!
//! Every worker reaps; any number may do so at once. One that dies midway leaves the rest to the
//! others.

use crate::{active_runs::ActiveRuns, run_signals::StopReason};
use longhaul_dispatch::{WakeHint, Waker};
use longhaul_runtime::Backoff;
use longhaul_store::{ReapOutcome, ReapRequest, Reaped, WorkerStore};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Runs reaped in one pass.
const MAX_REAPED_PER_PASS: u32 = 100;

/// Shortest pause between two passes.
const MIN_REAP_PAUSE: Duration = Duration::from_millis(10);

/// An alarm that starts the next pass early; clones share it.
#[derive(Clone, Default)]
pub struct ReapAlarm(Arc<ReapAlarmState>);

#[derive(Default)]
struct ReapAlarmState {
    at: Mutex<Option<Instant>>,
    set: Notify,
}

impl ReapAlarm {
    /// Sets the alarm to `delay` from now, unless it rings earlier already.
    pub fn ring_in(&self, delay: Duration) {
        // A delay beyond the clock's range never passes.
        let Some(at) = Instant::now().checked_add(delay) else { return };
        let mut earliest = self.lock();
        if earliest.is_none_or(|earliest| at < earliest) {
            *earliest = Some(at);
            drop(earliest);
            self.0.set.notify_one();
        }
    }

    /// Waits until `planned` or until the alarm rings, and resets the alarm. The pass that follows
    /// learns from the store what is due next.
    async fn wait_until(&self, planned: Instant) {
        loop {
            let earliest = *self.lock();
            let until = earliest.map_or(planned, |earliest| earliest.min(planned));
            tokio::select! {
                () = sleep_until(until) => break,
                () = self.0.set.notified() => {}
            }
        }
        let mut earliest = self.lock();
        if earliest.is_some_and(|earliest| earliest <= Instant::now()) {
            *earliest = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reaper of one worker.
pub struct Reaper {
    pub store: Arc<dyn WorkerStore>,
    pub waker: Arc<dyn Waker>,
    pub runs: ActiveRuns,
    pub alarm: ReapAlarm,
    /// Consecutive worker losses after which a task fails.
    pub max_losses: u32,
    /// Time after its deadline at which a task is ended by force although a worker runs it.
    pub grace: Duration,
    /// Time without a heartbeat after which a worker counts as dead.
    pub lease: Duration,
}

impl Reaper {
    /// Reaps until it is dropped.
    pub async fn run(self) {
        let request = ReapRequest {
            limit: MAX_REAPED_PER_PASS,
            max_losses: self.max_losses,
            grace: self.grace,
        };
        let mut failures = 0;
        loop {
            // A store that hangs must not end reaping: another pass may get a new connection.
            match timeout(self.lease, self.store.reap(request)).await {
                Ok(Ok(ReapOutcome { done, again_in })) => {
                    failures = 0;
                    let full = done.len() >= MAX_REAPED_PER_PASS as usize;
                    announce_reaped(&*self.waker, &self.runs, done);
                    if full {
                        // More may be overdue. Let other tasks of this worker run first.
                        tokio::task::yield_now().await;
                    } else {
                        self.alarm.wait_until(Instant::now() + self.pause(again_in)).await;
                    }
                    continue;
                }
                Ok(Err(error)) => tracing::warn!(%error, "reap failed"),
                Err(_) => tracing::warn!("reap timed out"),
            }
            sleep(Backoff::DATABASE.random_delay(failures)).await;
            failures = failures.saturating_add(1);
        }
    }

    /// The pause before the next pass: until the store expects something to be due, but at most a
    /// fifth of the lease, with jitter.
    fn pause(&self, again_in: Duration) -> Duration {
        let longest = self.lease / 5;
        if again_in < longest {
            return again_in.max(MIN_REAP_PAUSE);
        }
        // Half fixed, half random, so that workers do not reap in step.
        let jitter = Backoff { initial: longest, factor: 1.0, max: longest, jitter: true };
        longest / 2 + jitter.random_delay(0) / 2
    }
}

/// Wakes a worker for every run that became runnable, and stops local runs that were ended by
/// force.
pub fn announce_reaped(waker: &dyn Waker, runs: &ActiveRuns, reaped: Vec<Reaped>) {
    for reaped in reaped {
        match reaped {
            Reaped::Offered { key, agent } => {
                tracing::warn!(task_id = %key.task, %agent, "lost run offered again");
                waker.wake(WakeHint { agent, task: key, trace: None });
            }
            Reaped::Due { key, agent } => {
                tracing::debug!(task_id = %key.task, %agent, "run due");
                waker.wake(WakeHint { agent, task: key, trace: None });
            }
            Reaped::Canceled { key } => {
                tracing::info!(task_id = %key.task, "canceled by force: grace period exceeded");
                runs.stop(key, StopReason::LeaseLost);
            }
            Reaped::Failed { key, because } => {
                tracing::error!(task_id = %key.task, %because, "task failed");
                runs.stop(key, StopReason::LeaseLost);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        run_signals::RunSignals,
        testing::{RecordingWaker, ScriptedStore, StoreCall, fence, key, script, unavailable},
    };
    use longhaul_domain::{AgentName, FailureKind};

    const LEASE: Duration = Duration::from_secs(15);
    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Default)]
    struct ReaperFixture {
        store: Arc<ScriptedStore>,
        woken: Arc<RecordingWaker>,
        runs: ActiveRuns,
        alarm: ReapAlarm,
    }

    impl ReaperFixture {
        /// Reaps for `period`; returns the times of all passes since the start.
        async fn reap_for(&self, period: Duration) -> Vec<Duration> {
            let begin = Instant::now();
            let reaper = Reaper {
                store: Arc::<ScriptedStore>::clone(&self.store),
                waker: Arc::<RecordingWaker>::clone(&self.woken),
                runs: self.runs.clone(),
                alarm: self.alarm.clone(),
                max_losses: 3,
                grace: SECOND,
                lease: LEASE,
            };
            let _ = timeout(period, reaper.run()).await;
            let passes = self.store.times(|call| *call == StoreCall::Reap);
            passes.into_iter().map(|at| at - begin).collect()
        }
    }

    fn nothing_due(again_in: Duration) -> ReapOutcome {
        ReapOutcome { done: Vec::new(), again_in }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_starts_when_the_store_expects_something_due() {
        let fixture = ReaperFixture::default();
        script(&fixture.store.reap, || Ok(nothing_due(SECOND)));
        let passes = fixture.reap_for(SECOND * 10 + SECOND / 2).await;
        assert_eq!(passes.len(), 11);
        assert!(passes.windows(2).all(|pair| pair[1] < pair[0] + SECOND + SECOND / 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_starts_at_least_every_fifth_of_the_lease() {
        let fixture = ReaperFixture::default();
        script(&fixture.store.reap, || Ok(nothing_due(SECOND * 3600)));
        let passes = fixture.reap_for(SECOND * 60).await;
        assert!(passes.windows(2).all(|pair| pair[1] <= pair[0] + LEASE / 5 + SECOND / 100));
        assert!((20..=41).contains(&passes.len()), "{passes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_starts_a_pass_early() {
        let fixture = ReaperFixture::default();
        script(&fixture.store.reap, || Ok(nothing_due(SECOND * 3600)));
        fixture.alarm.ring_in(SECOND / 2);
        fixture.alarm.ring_in(SECOND / 4);
        let passes = fixture.reap_for(SECOND).await;
        assert_eq!(passes.len(), 2, "{passes:?}");
        assert_eq!(passes[1].as_millis() / 10, 25, "the earlier alarm");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reaper_survives_an_outage_of_the_store_and_backs_off() {
        let fixture = ReaperFixture::default();
        let begin = Instant::now();
        script(&fixture.store.reap, move || {
            if begin.elapsed() < SECOND * 60 { unavailable() } else { Ok(nothing_due(SECOND)) }
        });
        let passes = fixture.reap_for(SECOND * 90).await;
        let (during_outage, after): (Vec<_>, Vec<_>) =
            passes.into_iter().partition(|at| *at < SECOND * 60);
        assert!(during_outage.len() < 200, "it backs off: {}", during_outage.len());
        assert!(after.len() >= 20, "{}", after.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_without_an_answer_is_repeated() {
        let fixture = ReaperFixture::default();
        assert!(fixture.reap_for(LEASE * 10).await.len() > 5);
    }

    #[tokio::test(start_paused = true)]
    async fn runnable_runs_wake_workers_and_ended_runs_stop() {
        let fixture = ReaperFixture::default();
        let agent = || AgentName::new("a").unwrap();
        let mut done = vec![
            Reaped::Offered { key: key(1), agent: agent() },
            Reaped::Due { key: key(2), agent: agent() },
            Reaped::Canceled { key: key(3) },
            Reaped::Failed { key: key(4), because: FailureKind::Deadline },
        ];
        let signals = [3, 4, 5].map(|task| {
            let signals = Arc::new(RunSignals::new());
            (fixture.runs.register(key(task), fence(1), Arc::clone(&signals)), signals)
        });
        script(&fixture.store.reap, move || {
            Ok(ReapOutcome { done: std::mem::take(&mut done), again_in: SECOND })
        });
        fixture.reap_for(SECOND / 2).await;
        assert_eq!(*fixture.woken.0.lock().unwrap(), [key(1), key(2)]);
        let reasons = signals.map(|(_, signals)| signals.stop_reason());
        assert_eq!(reasons, [Some(StopReason::LeaseLost), Some(StopReason::LeaseLost), None]);
    }
}
