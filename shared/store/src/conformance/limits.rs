//! Limits on what runs at once: never passed, and nothing waits that could run.

use super::kit::{LONG, Run, Scene, at_once, eventually};
use crate::{CancelRequested, RequestCancel, RunOptions, Store};
use longhaul_domain::{
    ConcurrencyLimits, ParkedState, TaskKey, TaskState, TerminalState, WorkerId,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

const NONE: ConcurrencyLimits = ConcurrencyLimits::NONE;
const ONE_PER_KEY: ConcurrencyLimits = ConcurrencyLimits { per_key: Some(1), ..NONE };

async fn claim(scene: &Scene, worker: WorkerId, free: u32, limits: ConcurrencyLimits) -> Vec<Run> {
    let claimed = scene.claim_as(worker, scene.slots(free, limits)).await;
    claimed.into_iter().map(|claimed| Run::of(worker, claimed)).collect()
}

fn keyed(key: &str) -> RunOptions {
    RunOptions { concurrency_key: Some(key.to_owned()), ..RunOptions::default() }
}

async fn end(scene: &Scene, run: &mut Run) {
    scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
}

fn keys(runs: &[Run]) -> HashSet<TaskKey> {
    runs.iter().map(Run::key).collect()
}

pub async fn an_agent_at_its_limit_gets_no_more(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (worker, other) = (scene.worker().await, scene.worker().await);
    let limits = ConcurrencyLimits { total: Some(2), ..NONE };
    for _ in 0..4 {
        scene.accepted().await;
    }
    let mut runs = claim(&scene, worker, 10, limits).await;
    assert_eq!(runs.len(), 2);
    assert!(claim(&scene, other, 10, limits).await.is_empty(), "the limit is of all workers");
    end(&scene, &mut runs[0]).await;
    assert_eq!(claim(&scene, other, 10, limits).await.len(), 1);
    let elsewhere = scene.for_agent("other");
    elsewhere.accepted().await;
    assert_eq!(claim(&elsewhere, other, 10, limits).await.len(), 1, "the limit is of one agent");
    scene.loses_its_lease(worker).await;
    scene.reaped().await;
    assert_eq!(claim(&scene, other, 10, limits).await.len(), 1, "a lost worker runs nothing");
}

pub async fn an_owner_at_its_limit_leaves_room_for_others(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let worker = scene.worker().await;
    let limits = ConcurrencyLimits { per_owner: Some(1), ..NONE };
    for _ in 0..5 {
        scene.accepted().await;
    }
    let mut first = claim(&scene, worker, 10, limits).await;
    assert_eq!(first.len(), 1);
    assert!(claim(&scene, worker, 10, limits).await.is_empty());
    let theirs = stranger.accepted().await;
    let second = claim(&scene, worker, 10, limits).await;
    assert_eq!(keys(&second), HashSet::from([theirs]));
    end(&scene, &mut first[0]).await;
    assert_eq!(claim(&scene, worker, 10, limits).await.len(), 1);
}

pub async fn tasks_of_one_key_run_one_after_the_other(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let worker = scene.worker().await;
    let mut order = Vec::new();
    for priority in [0, 0, 5] {
        order.push(scene.queued("k", RunOptions { priority, ..keyed("k") }).await);
    }
    order.rotate_right(1);
    let others = HashSet::from([scene.accepted().await, scene.queued("l", keyed("l")).await]);
    let runs = claim(&scene, worker, 10, ONE_PER_KEY).await;
    assert_eq!(keys(&runs), others.union(&HashSet::from([order[0]])).copied().collect());
    let mut run = runs.into_iter().find(|run| run.key() == order[0]).unwrap();
    for next in &order[1..] {
        assert!(claim(&scene, worker, 10, ONE_PER_KEY).await.is_empty());
        end(&scene, &mut run).await;
        run = claim(&scene, worker, 10, ONE_PER_KEY).await.remove(0);
        assert_eq!(run.key(), *next, "the highest priority first, then the oldest");
    }
}

pub async fn a_key_is_free_again_however_its_run_goes_away(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for way in 0..6 {
        let key = format!("k{way}");
        scene.queued("first", keyed(&key)).await;
        let second = scene.queued("second", keyed(&key)).await;
        let (worker, next) = (scene.worker().await, scene.worker().await);
        let mut run = claim(&scene, worker, 10, ONE_PER_KEY).await.remove(0);
        assert!(claim(&scene, next, 10, ONE_PER_KEY).await.is_empty(), "the second is held back");
        let cancel = RequestCancel { key: run.key(), grace: Duration::ZERO };
        match way {
            0 => end(&scene, &mut run).await,
            1 => {
                let park = run.park(ParkedState::InputRequired, "which?");
                scene.store.settle(park).await.unwrap();
            }
            2 => {
                scene.store.settle(run.retry(LONG)).await.unwrap();
            }
            3 => {
                scene.store.request_cancel(cancel).await.unwrap();
                scene.reaped().await;
            }
            4 => {
                scene.store.request_cancel(RequestCancel { grace: LONG, ..cancel }).await.unwrap();
                scene.loses_its_lease(worker).await;
                scene.reaped().await;
            }
            _ => {
                scene.store.request_cancel(RequestCancel { grace: LONG, ..cancel }).await.unwrap();
                scene.store.settle(run.release()).await.unwrap();
            }
        }
        let mut runs = claim(&scene, next, 10, ONE_PER_KEY).await;
        assert_eq!(keys(&runs), HashSet::from([second]), "way {way}");
        end(&scene, &mut runs[0]).await;
    }
}

pub async fn a_run_that_is_given_back_shares_its_key_with_those_that_wait(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let all = HashSet::from([
        scene.queued("first", keyed("k")).await,
        scene.queued("second", keyed("k")).await,
    ]);
    let worker = scene.worker().await;
    let mut run = claim(&scene, worker, 10, ONE_PER_KEY).await.remove(0);
    assert!(claim(&scene, worker, 10, ONE_PER_KEY).await.is_empty());
    scene.loses_its_lease(worker).await;
    scene.reaped().await;
    let worker = scene.worker().await;
    let mut done = HashSet::new();
    for _ in 0..2 {
        let mut runs = claim(&scene, worker, 10, ONE_PER_KEY).await;
        assert_eq!(runs.len(), 1, "both are there, and one may run");
        done.insert(runs[0].key());
        end(&scene, &mut runs[0]).await;
    }
    assert_eq!(done, all);
    let late = scene.store.settle(run.release()).await.unwrap();
    assert_eq!(late, crate::Settled::Ended(TaskState::Completed));
}

pub async fn keys_of_two_owners_do_not_meet(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let mut all = HashSet::new();
    for scene in [&scene, &stranger] {
        all.insert(scene.queued("mine", keyed("k")).await);
    }
    let worker = scene.worker().await;
    assert_eq!(keys(&claim(&scene, worker, 10, ONE_PER_KEY).await), all);
}

pub async fn of_many_claims_at_once_none_passes_a_limit(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    for n in 0..20 {
        for scene in [&scene, &stranger] {
            if n % 2 == 0 {
                scene.queued("k", keyed("k")).await;
            } else {
                scene.queued("none", RunOptions::default()).await;
            }
        }
    }
    let limits = ConcurrencyLimits { total: Some(7), per_owner: Some(5), per_key: Some(2) };
    let mut workers = Vec::new();
    for _ in 0..6 {
        workers.push(scene.worker().await);
    }
    let runs = at_once(workers.into_iter().map(|worker| {
        let scene = scene.clone();
        async move {
            let mut runs = Vec::new();
            for _ in 0..4 {
                runs.extend(claim(&scene, worker, 3, limits).await);
            }
            runs
        }
    }))
    .await
    .concat();
    assert_eq!(runs.len(), 7, "as many as may, no more");
    for owner in [scene.owner, stranger.owner] {
        assert!(runs.iter().filter(|run| run.key().owner == owner).count() <= 5);
        let of_key = runs.iter().filter(|run| {
            run.key().owner == owner
                && run.claimed.opening.as_ref().is_some_and(|said| said.message.text() == "k")
        });
        assert!(of_key.count() <= 2);
    }
    assert_eq!(keys(&runs).len(), 7, "each run went to one worker");
}

pub async fn a_key_is_never_used_by_more_than_its_limit(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..12 {
        scene.queued("k", keyed("k")).await;
    }
    let limits = ConcurrencyLimits { per_key: Some(2), ..NONE };
    let running = Arc::new(std::sync::atomic::AtomicI32::new(0));
    let mut workers = Vec::new();
    for _ in 0..5 {
        workers.push(scene.worker().await);
    }
    let done = Arc::new(std::sync::atomic::AtomicI32::new(0));
    at_once(workers.into_iter().map(|worker| {
        let (scene, running, done) = (scene.clone(), Arc::clone(&running), Arc::clone(&done));
        async move {
            use std::sync::atomic::Ordering::SeqCst;
            eventually("everything has run", || async {
                for mut run in claim(&scene, worker, 3, limits).await {
                    assert!(running.fetch_add(1, SeqCst) < 2, "two at most");
                    // Counted down before the key is free, so that the next one is not counted beside this one.
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, SeqCst);
                    end(&scene, &mut run).await;
                    done.fetch_add(1, SeqCst);
                }
                done.load(SeqCst) == 12
            })
            .await;
        }
    }))
    .await;
}

pub async fn what_is_held_back_does_not_hide_what_stands_behind(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..250 {
        scene.queued("k", RunOptions { priority: 50, ..keyed("k") }).await;
    }
    let behind = scene.accepted().await;
    let worker = scene.worker().await;
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.extend(claim(&scene, worker, 5, ONE_PER_KEY).await);
    }
    assert_eq!(runs.len(), 2, "one of the key, and the one behind");
    assert!(keys(&runs).contains(&behind));
}

pub async fn a_task_that_is_held_back_is_canceled_at_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    scene.queued("first", keyed("k")).await;
    let second = scene.queued("second", keyed("k")).await;
    let third = scene.queued("third", keyed("k")).await;
    let worker = scene.worker().await;
    let mut runs = claim(&scene, worker, 10, ONE_PER_KEY).await;
    assert_eq!(runs.len(), 1);
    let cancel = RequestCancel { key: second, grace: LONG };
    let outcome = scene.store.request_cancel(cancel).await.unwrap();
    assert!(matches!(outcome, CancelRequested::Canceled { .. }), "{outcome:?}");
    assert_eq!(scene.state(second).await, TaskState::Canceled);
    end(&scene, &mut runs[0]).await;
    assert_eq!(keys(&claim(&scene, worker, 10, ONE_PER_KEY).await), HashSet::from([third]));
}
