//! Lease and reconciliation against stores that fail, in paused time.

use super::*;
use crate::{
    active_runs::ActiveRuns,
    output::{Output, PendingAppend},
    run_signals::{RunSignals, StopReason},
    settlement::release_request,
    testing::{RecordingWaker, ScriptedStore, StoreCall, fence, key, script, unavailable},
};
use longhaul_domain::{EntryBody, Fence, Seq, TaskState, WorkerId, log::StatusChange};
use longhaul_store::{Appended, HeartbeatReply, HeldDigest, NewWorker, SettleAs, Settled};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(15);

struct HeartbeatFixture {
    store: Arc<ScriptedStore>,
    runs: ActiveRuns,
    missed: MissedSignals,
    held: HeldRuns,
    begin: Instant,
}

impl HeartbeatFixture {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            runs: ActiveRuns::default(),
            missed: MissedSignals::default(),
            held: HeldRuns::default(),
            begin: Instant::now(),
        }
    }

    fn worker() -> NewWorker {
        let id = WorkerId::new(Uuid::from_u128(7));
        NewWorker { id, name: "test".to_owned(), agents: Vec::new(), lease: LEASE }
    }

    /// Keeps the lease for as long as the future lives.
    fn keep_lease(&self) -> impl Future<Output = ()> + use<> {
        let keeper = LeaseKeeper {
            store: Arc::<ScriptedStore>::clone(&self.store),
            waker: Arc::new(RecordingWaker::default()),
            worker: Self::worker(),
            runs: self.runs.clone(),
            missed: self.missed.clone(),
            held: self.held.clone(),
        };
        keeper.run(self.begin)
    }

    fn reconcile(&self) -> impl Future<Output = ()> + use<> {
        let reconciler = Reconciler {
            store: Arc::<ScriptedStore>::clone(&self.store),
            worker: Self::worker().id,
            min_difference_age: LEASE / 5,
            runs: self.runs.clone(),
            held: self.held.clone(),
        };
        reconciler.run()
    }

    fn at(&self, at: Instant) -> Duration {
        at - self.begin
    }

    fn count(&self, kind: &StoreCall) -> usize {
        self.store.calls().iter().filter(|call| *call == kind).count()
    }
}

/// The reply of a store that holds the runs with these fences.
fn renewed(held: &[Fence]) -> HeartbeatReply {
    let held = HeldDigest::from_tokens(held.iter().map(|fence| fence.token));
    HeartbeatReply::Renewed { cancels: Vec::new(), held }
}

/// Runs something endless for `period`.
async fn run_for(work: impl Future<Output = ()>, period: Duration) {
    let _ = timeout(period, work).await;
}

fn working() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_three_times_per_lease() {
    let fixture = HeartbeatFixture::new();
    script(&fixture.store.heartbeat, || Ok(renewed(&[])));
    run_for(fixture.keep_lease(), LEASE * 10 + Duration::from_secs(1)).await;
    assert_eq!(fixture.count(&StoreCall::Heartbeat), 30);
    assert_eq!(fixture.count(&StoreCall::Register), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_lost_after_two_thirds_of_it_without_an_answered_heartbeat() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(1), fence(1), Arc::clone(&signals));
    let stopped_after = async {
        signals.wait_stopped().await;
        fixture.begin.elapsed()
    };
    let stopped_after = tokio::select! {
        () = fixture.keep_lease() => unreachable!("it is endless"),
        stopped_after = stopped_after => stopped_after,
    };
    assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
    assert!(
        stopped_after >= LEASE * 2 / 3 && stopped_after < LEASE * 2 / 3 + Duration::from_millis(10)
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_lost_after_two_thirds_of_it_with_failing_heartbeats() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(1), fence(1), Arc::clone(&signals));
    script(&fixture.store.heartbeat, unavailable);
    let stopped_after = tokio::select! {
        () = fixture.keep_lease() => unreachable!("it is endless"),
        _ = signals.wait_stopped() => fixture.begin.elapsed(),
    };
    assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
    assert_eq!(stopped_after.as_secs(), (LEASE * 2 / 3).as_secs());
    assert!(fixture.count(&StoreCall::Heartbeat) > 5, "it retried while the lease was good");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_its_lease_registers_again_and_keeps_the_new_one() {
    let fixture = HeartbeatFixture::new();
    fixture.store.register_fails.store(true, Ordering::Relaxed);
    let store_recovers = async {
        tokio::time::sleep(LEASE * 3).await;
        fixture.store.register_fails.store(false, Ordering::Relaxed);
        script(&fixture.store.heartbeat, || Ok(renewed(&[])));
        tokio::time::sleep(LEASE * 2).await;
    };
    tokio::select! {
        () = fixture.keep_lease() => unreachable!("it is endless"),
        () = store_recovers => {}
    }
    let registered = fixture.store.times(|call| *call == StoreCall::Register);
    assert_eq!(registered.len(), 1, "once, successfully");
    assert!(fixture.at(registered[0]) >= LEASE * 3);
    assert!(fixture.at(registered[0]) < LEASE * 3 + Duration::from_secs(1));
    let heartbeats = fixture.store.times(|call| *call == StoreCall::Heartbeat);
    assert!(heartbeats.iter().filter(|at| **at > registered[0]).count() >= 5);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_with_the_old_fence_after_the_lease_is_lost() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(1), fence(1), Arc::clone(&signals));
    let store = Arc::<ScriptedStore>::clone(&fixture.store);
    let output = Output::new(store, key(1), fence(1), 1, Arc::clone(&signals), None);
    script(&fixture.store.append, unavailable);
    script(&fixture.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let pending = PendingAppend::default();
    let run = async {
        output.emit(vec![working()]).await.unwrap();
        output.keep_writing(&pending).await;
        output.finish_write(&pending).await;
        // Even a settlement that was decided all the same.
        let how = SettleAs::Retry(Duration::ZERO);
        let settled = output.settle(&pending, Vec::new(), how, Seq::START).await;
        assert_eq!(settled.unwrap(), Settled::Fenced);
    };
    tokio::select! {
        () = fixture.keep_lease() => unreachable!("it is endless"),
        () = run => {}
    }
    assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
    let lost_at = LEASE * 2 / 3;
    let writes =
        fixture.store.times(|call| matches!(call, StoreCall::Append(_) | StoreCall::Settle(_)));
    assert!(writes.len() > 10, "it retried while the lease was good");
    assert!(writes.iter().all(|at| fixture.at(*at) <= lost_at), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_write_does_not_prolong_a_run_whose_lease_is_lost() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(1), fence(1), Arc::clone(&signals));
    let store = Arc::<ScriptedStore>::clone(&fixture.store);
    let output = Output::new(store, key(1), fence(1), 1, Arc::clone(&signals), None);
    let pending = PendingAppend::default();
    let run = async {
        output.emit(vec![working()]).await.unwrap();
        output.keep_writing(&pending).await;
    };
    tokio::select! {
        () = fixture.keep_lease() => unreachable!("it is endless"),
        () = run => {}
    }
    assert_eq!(fixture.begin.elapsed().as_secs(), (LEASE * 2 / 3).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_signal_was_lost_arrives_within_a_second() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(1), fence(1), Arc::clone(&signals));
    let begin = fixture.begin;
    script(&fixture.store.heartbeat, move || {
        // Requested while nothing listened.
        let asked = begin.elapsed() >= Duration::from_secs(7);
        let cancels = if asked { vec![key(1)] } else { Vec::new() };
        Ok(HeartbeatReply::Renewed { cancels, held: HeldDigest::from_tokens([fence(1).token]) })
    });
    let canceled = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        fixture.missed.report();
        signals.wait_stopped().await;
    };
    tokio::select! {
        () = fixture.keep_lease() => unreachable!("it is endless"),
        () = canceled => {}
    }
    assert_eq!(signals.stop_reason(), Some(StopReason::Canceled));
    assert!(fixture.begin.elapsed() < Duration::from_secs(8), "{:?}", fixture.begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_the_store_knows_is_released_after_a_while() {
    let fixture = HeartbeatFixture::new();
    fixture.store.held.lock().unwrap().push((key(1), fence(1)));
    script(&fixture.store.heartbeat, || Ok(renewed(&[fence(1)])));
    script(&fixture.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let both = || async {
        tokio::join!(fixture.keep_lease(), fixture.reconcile());
    };
    run_for(both(), LEASE / 2).await;
    assert_eq!(fixture.store.times(|call| matches!(call, StoreCall::Settle(_))), []);
    run_for(both(), LEASE).await;
    let released = release_request(key(1), fence(1), 0);
    assert!(fixture.store.calls().contains(&StoreCall::Settle(released)));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_the_store_knows_is_released_although_digests_agree_now_and_then() {
    let fixture = HeartbeatFixture::new();
    fixture.store.held.lock().unwrap().push((key(1), fence(1)));
    let mut held = 0;
    script(&fixture.store.heartbeat, move || {
        held = 1 - held;
        Ok(renewed(&[fence(1)][..held]))
    });
    script(&fixture.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let both = async {
        tokio::join!(fixture.keep_lease(), fixture.reconcile());
    };
    run_for(both, LEASE * 2).await;
    let released = release_request(key(1), fence(1), 0);
    assert!(fixture.store.calls().contains(&StoreCall::Settle(released)));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_the_worker_knows_is_stopped() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(1), fence(1), Arc::clone(&signals));
    // The store holds a later claim of it.
    script(&fixture.store.heartbeat, || Ok(renewed(&[])));
    let both = async {
        tokio::join!(fixture.keep_lease(), fixture.reconcile());
    };
    run_for(both, LEASE).await;
    assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
}

#[tokio::test(start_paused = true)]
async fn sets_of_equal_size_are_still_compared() {
    let fixture = HeartbeatFixture::new();
    // One that only the store knows, and one that only the worker knows.
    fixture.store.held.lock().unwrap().push((key(1), fence(1)));
    let signals = Arc::new(RunSignals::new());
    let _guard = fixture.runs.register(key(2), fence(2), Arc::clone(&signals));
    script(&fixture.store.heartbeat, || Ok(renewed(&[fence(1)])));
    script(&fixture.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let both = async {
        tokio::join!(fixture.keep_lease(), fixture.reconcile());
    };
    run_for(both, LEASE * 2).await;
    assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
    let released = release_request(key(1), fence(1), 0);
    assert!(fixture.store.calls().contains(&StoreCall::Settle(released)));
}

#[tokio::test(start_paused = true)]
async fn a_difference_at_a_single_heartbeat_is_ignored() {
    let fixture = HeartbeatFixture::new();
    // Claimed just before each heartbeat, another claim each time, and not yet here.
    let mut claims = 0;
    let store = Arc::clone(&fixture.store);
    script(&fixture.store.heartbeat, move || {
        claims += 1;
        *store.held.lock().unwrap() = vec![(key(1), fence(claims))];
        Ok(renewed(&[fence(claims)]))
    });
    let both = async {
        tokio::join!(fixture.keep_lease(), fixture.reconcile());
    };
    run_for(both, LEASE * 3).await;
    assert_eq!(fixture.store.times(|call| matches!(call, StoreCall::Settle(_))), []);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_append_stops_the_run() {
    let fixture = HeartbeatFixture::new();
    let signals = Arc::new(RunSignals::new());
    let store = Arc::<ScriptedStore>::clone(&fixture.store);
    let output = Output::new(store, key(1), fence(1), 1, Arc::clone(&signals), None);
    script(&fixture.store.append, || Ok(Appended::Fenced));
    output.emit(vec![working()]).await.unwrap();
    output.keep_writing(&PendingAppend::default()).await;
    assert_eq!(signals.stop_reason(), Some(StopReason::LeaseLost));
    assert!(output.emit(vec![working()]).await.is_err());
}
