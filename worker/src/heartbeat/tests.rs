//! The lease against stores that go away, in time that the tests make.

use super::*;
use crate::{
    output::{Output, Pending},
    signals::RunSignals,
    testing::{Asked, Scripted, Woken, away, fence, key, script},
};
use longhaul_domain::{EntryBody, Fence, Seq, TaskState, WorkerId, log::StatusChange};
use longhaul_store::{Appended, HeldDigest, SettleAs, Settled};
use std::sync::atomic::Ordering;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(15);

struct Scene {
    store: Arc<Scripted>,
    running: Running,
    doubt: Doubt,
    books: Books,
    begin: Instant,
}

impl Scene {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            running: Running::default(),
            doubt: Doubt::default(),
            books: Books::default(),
            begin: Instant::now(),
        }
    }

    fn worker() -> NewWorker {
        let id = WorkerId::new(Uuid::from_u128(7));
        NewWorker { id, name: "test".to_owned(), agents: Vec::new(), lease: LEASE }
    }

    /// The heartbeat, for as long as the future lives.
    fn beat(&self) -> impl Future<Output = ()> + use<> {
        let lease = Lease {
            store: Arc::<Scripted>::clone(&self.store),
            waker: Arc::new(Woken::default()),
            worker: Self::worker(),
            running: self.running.clone(),
            doubt: self.doubt.clone(),
            books: self.books.clone(),
        };
        lease.keep(self.begin)
    }

    fn keep_books(&self) -> impl Future<Output = ()> + use<> {
        let keeper = Keeper {
            store: Arc::<Scripted>::clone(&self.store),
            worker: Self::worker().id,
            patience: LEASE / 5,
            running: self.running.clone(),
            books: self.books.clone(),
        };
        keeper.run()
    }

    fn at(&self, at: Instant) -> Duration {
        at - self.begin
    }

    fn count(&self, kind: &Asked) -> usize {
        self.store.asked().iter().filter(|asked| *asked == kind).count()
    }
}

/// The store has the runs with these fences.
fn renewed(held: &[Fence]) -> HeartbeatReply {
    let held = HeldDigest::from_tokens(held.iter().map(|fence| fence.token));
    HeartbeatReply::Renewed { cancels: Vec::new(), held }
}

/// Lets something go on for so long.
async fn for_a_while(work: impl Future<Output = ()>, period: Duration) {
    // It never ends by itself.
    let _ = timeout(period, work).await;
}

fn working() -> EntryBody {
    EntryBody::Status(StatusChange::to(TaskState::Working))
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_three_times_in_its_length() {
    let scene = Scene::new();
    script(&scene.store.heartbeat, || Ok(renewed(&[])));
    for_a_while(scene.beat(), LEASE * 10 + Duration::from_secs(1)).await;
    assert_eq!(scene.count(&Asked::Heartbeat), 30);
    assert_eq!(scene.count(&Asked::Register), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_heartbeats_are_not_answered_gives_up_after_two_thirds_of_its_lease() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(1), fence(1), Arc::clone(&signals));
    let gave_up = async {
        signals.wait_stopped().await;
        scene.begin.elapsed()
    };
    let gave_up = tokio::select! {
        () = scene.beat() => unreachable!("it never ends"),
        gave_up = gave_up => gave_up,
    };
    assert_eq!(signals.why(), Some(Why::LeaseLost));
    assert!(gave_up >= LEASE * 2 / 3 && gave_up < LEASE * 2 / 3 + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_for_too_long_costs_the_runs_too() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(1), fence(1), Arc::clone(&signals));
    script(&scene.store.heartbeat, away);
    let gave_up = tokio::select! {
        () = scene.beat() => unreachable!("it never ends"),
        _ = signals.wait_stopped() => scene.begin.elapsed(),
    };
    assert_eq!(signals.why(), Some(Why::LeaseLost));
    assert_eq!(gave_up.as_secs(), (LEASE * 2 / 3).as_secs());
    assert!(scene.count(&Asked::Heartbeat) > 5, "it tried for as long as the lease was good");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_gave_up_registers_anew_and_beats_again() {
    let scene = Scene::new();
    scene.store.register_fails.store(true, Ordering::Relaxed);
    let back = async {
        tokio::time::sleep(LEASE * 3).await;
        scene.store.register_fails.store(false, Ordering::Relaxed);
        script(&scene.store.heartbeat, || Ok(renewed(&[])));
        tokio::time::sleep(LEASE * 2).await;
    };
    tokio::select! {
        () = scene.beat() => unreachable!("it never ends"),
        () = back => {}
    }
    let registered = scene.store.times(|asked| *asked == Asked::Register);
    assert_eq!(registered.len(), 1, "once, and it held");
    assert!(scene.at(registered[0]) >= LEASE * 3);
    assert!(scene.at(registered[0]) < LEASE * 3 + Duration::from_secs(1));
    let beats = scene.store.times(|asked| *asked == Asked::Heartbeat);
    assert!(beats.iter().filter(|at| **at > registered[0]).count() >= 5);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_with_the_old_fence_once_the_lease_was_given_up() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(1), fence(1), Arc::clone(&signals));
    let store = Arc::<Scripted>::clone(&scene.store);
    let output = Output::new(store, key(1), fence(1), 1, Arc::clone(&signals), None);
    script(&scene.store.append, away);
    script(&scene.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let pending = Pending::default();
    let run = async {
        output.emit(vec![working()]).await.unwrap();
        output.keep_writing(&pending).await;
        output.finish_write(&pending).await;
        // Even if somebody decided to settle all the same.
        let how = SettleAs::Retry(Duration::ZERO);
        let settled = output.settle(&pending, Vec::new(), how, Seq::START).await;
        assert_eq!(settled.unwrap(), Settled::Fenced);
    };
    tokio::select! {
        () = scene.beat() => unreachable!("it never ends"),
        () = run => {}
    }
    assert_eq!(signals.why(), Some(Why::LeaseLost));
    let given_up = LEASE * 2 / 3;
    let writes = scene.store.times(|asked| matches!(asked, Asked::Append(_) | Asked::Settle(_)));
    assert!(writes.len() > 10, "it tried for as long as the lease was good");
    assert!(writes.iter().all(|at| scene.at(*at) <= given_up), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_never_answered_does_not_keep_a_run_whose_lease_is_lost() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(1), fence(1), Arc::clone(&signals));
    let store = Arc::<Scripted>::clone(&scene.store);
    let output = Output::new(store, key(1), fence(1), 1, Arc::clone(&signals), None);
    let pending = Pending::default();
    let run = async {
        output.emit(vec![working()]).await.unwrap();
        output.keep_writing(&pending).await;
    };
    tokio::select! {
        () = scene.beat() => unreachable!("it never ends"),
        () = run => {}
    }
    assert_eq!(scene.begin.elapsed().as_secs(), (LEASE * 2 / 3).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_signal_was_lost_comes_within_a_second() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(1), fence(1), Arc::clone(&signals));
    let begin = scene.begin;
    script(&scene.store.heartbeat, move || {
        // Asked for while nobody listened.
        let asked = begin.elapsed() >= Duration::from_secs(7);
        let cancels = if asked { vec![key(1)] } else { Vec::new() };
        Ok(HeartbeatReply::Renewed { cancels, held: HeldDigest::from_tokens([fence(1).token]) })
    });
    let heard = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        scene.doubt.raise();
        signals.wait_stopped().await;
    };
    tokio::select! {
        () = scene.beat() => unreachable!("it never ends"),
        () = heard => {}
    }
    assert_eq!(signals.why(), Some(Why::Canceled));
    assert!(scene.begin.elapsed() < Duration::from_secs(8), "{:?}", scene.begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_the_store_knows_of_is_given_back_once_it_is_known_for_a_while() {
    let scene = Scene::new();
    scene.store.held.lock().unwrap().push((key(1), fence(1)));
    script(&scene.store.heartbeat, || Ok(renewed(&[fence(1)])));
    script(&scene.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let both = || async {
        tokio::join!(scene.beat(), scene.keep_books());
    };
    for_a_while(both(), LEASE / 2).await;
    assert_eq!(scene.store.times(|asked| matches!(asked, Asked::Settle(_))), []);
    for_a_while(both(), LEASE).await;
    let given_back = crate::release::release(key(1), fence(1), 0);
    assert!(scene.store.asked().contains(&Asked::Settle(given_back)));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_the_store_knows_of_is_given_back_though_counts_agree_now_and_then() {
    let scene = Scene::new();
    scene.store.held.lock().unwrap().push((key(1), fence(1)));
    let mut held = 0;
    script(&scene.store.heartbeat, move || {
        held = 1 - held;
        Ok(renewed(&[fence(1)][..held]))
    });
    script(&scene.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let both = async {
        tokio::join!(scene.beat(), scene.keep_books());
    };
    for_a_while(both, LEASE * 2).await;
    let given_back = crate::release::release(key(1), fence(1), 0);
    assert!(scene.store.asked().contains(&Asked::Settle(given_back)));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_the_worker_knows_of_is_stopped() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(1), fence(1), Arc::clone(&signals));
    // The store's books have a later claim of it.
    script(&scene.store.heartbeat, || Ok(renewed(&[])));
    let both = async {
        tokio::join!(scene.beat(), scene.keep_books());
    };
    for_a_while(both, LEASE).await;
    assert_eq!(signals.why(), Some(Why::LeaseLost));
}

#[tokio::test(start_paused = true)]
async fn as_many_runs_are_not_the_same_runs() {
    let scene = Scene::new();
    // One that only the store knows of, and one that only the worker does.
    scene.store.held.lock().unwrap().push((key(1), fence(1)));
    let signals = Arc::new(RunSignals::new());
    let _registered = scene.running.register(key(2), fence(2), Arc::clone(&signals));
    script(&scene.store.heartbeat, || Ok(renewed(&[fence(1)])));
    script(&scene.store.settle, || Ok(Settled::Now { last: Seq(1) }));
    let both = async {
        tokio::join!(scene.beat(), scene.keep_books());
    };
    for_a_while(both, LEASE * 2).await;
    assert_eq!(signals.why(), Some(Why::LeaseLost));
    let given_back = crate::release::release(key(1), fence(1), 0);
    assert!(scene.store.asked().contains(&Asked::Settle(given_back)));
}

#[tokio::test(start_paused = true)]
async fn what_differs_at_one_heartbeat_only_is_left_alone() {
    let scene = Scene::new();
    // Claimed just before each heartbeat, another claim each time, and not yet here.
    let mut claims = 0;
    let store = Arc::clone(&scene.store);
    script(&scene.store.heartbeat, move || {
        claims += 1;
        *store.held.lock().unwrap() = vec![(key(1), fence(claims))];
        Ok(renewed(&[fence(claims)]))
    });
    let both = async {
        tokio::join!(scene.beat(), scene.keep_books());
    };
    for_a_while(both, LEASE * 3).await;
    assert_eq!(scene.store.times(|asked| matches!(asked, Asked::Settle(_))), []);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_the_store_has_fenced_ends_the_run() {
    let scene = Scene::new();
    let signals = Arc::new(RunSignals::new());
    let store = Arc::<Scripted>::clone(&scene.store);
    let output = Output::new(store, key(1), fence(1), 1, Arc::clone(&signals), None);
    script(&scene.store.append, || Ok(Appended::Fenced));
    output.emit(vec![working()]).await.unwrap();
    output.keep_writing(&Pending::default()).await;
    assert_eq!(signals.why(), Some(Why::LeaseLost));
    assert!(output.emit(vec![working()]).await.is_err());
}
