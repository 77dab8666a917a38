//! Cancel: it arrives, and it and the end of a run have exactly one winner.

use super::kit::{LONG, REAP, Run, Scene, at_once, eventually, uuid, working};
use crate::{
    Appended, CancelRequested, HeartbeatReply, HeldDigest, Reaped, RequestCancel, Settled, Store,
};
use longhaul_domain::{
    EntryBody, Note, ParkedState, Seq, TaskId, TaskKey, TaskState, TerminalState,
};
use std::{sync::Arc, time::Duration};

const GRACE: Duration = Duration::from_secs(600);

async fn cancel(scene: &Scene, key: TaskKey, grace: Duration) -> CancelRequested {
    scene.store.request_cancel(RequestCancel { key, grace }).await.unwrap()
}

pub async fn a_queued_task_is_canceled_at_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    assert_eq!(cancel(&scene, key, GRACE).await, CancelRequested::Canceled { seq: Seq(2) });
    assert_eq!(scene.state(key).await, TaskState::Canceled);
    let worker = scene.worker().await;
    assert!(scene.claim(worker, 10).await.is_empty());
    let again = cancel(&scene, key, GRACE).await;
    assert_eq!(again, CancelRequested::Ended(TaskState::Canceled));
}

pub async fn a_task_that_waits_for_its_next_attempt_is_canceled_at_once(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.store.settle(run.retry(LONG)).await.unwrap();
    let outcome = cancel(&scene, run.key(), GRACE).await;
    assert_eq!(outcome, CancelRequested::Canceled { seq: Seq(3) });
}

pub async fn a_running_executor_is_asked_to_stop(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    assert_eq!(cancel(&scene, run.key(), GRACE).await, CancelRequested::Asked { seq: Seq(2) });
    assert_eq!(cancel(&scene, run.key(), GRACE).await, CancelRequested::Asked { seq: Seq(2) });
    let notes = scene.bodies(run.key()).await;
    assert_eq!(notes[1..], [EntryBody::Note(Note::CancelRequested)], "noted once");
    assert_eq!(scene.state(run.key()).await, TaskState::Submitted, "it has not stopped yet");
    for _ in 0..2 {
        let reply = scene.store.heartbeat(run.worker, LONG).await.unwrap();
        assert_eq!(
            reply,
            HeartbeatReply::Renewed {
                cancels: vec![run.key()],
                held: HeldDigest::from_tokens([run.claimed.fence.token])
            }
        );
    }
    let outcome = scene.store.settle(run.end(TerminalState::Canceled)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(4) });
    let reply = scene.store.heartbeat(run.worker, LONG).await.unwrap();
    assert_eq!(reply, HeartbeatReply::Renewed { cancels: Vec::new(), held: HeldDigest::default() });
}

pub async fn an_executor_that_was_faster_than_the_cancel_completes(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    cancel(&scene, run.key(), GRACE).await;
    scene.follow_up(run.key(), "unread").await;
    let outcome = scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(outcome, Settled::Now { last: Seq(5) }, "and nothing is handed back");
    assert_eq!(scene.state(run.key()).await, TaskState::Completed);
}

pub async fn a_run_that_was_asked_to_stop_ends_instead_of_going_on(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let ways: [fn(&mut Run) -> crate::Settle; 3] = [
        |run| run.park(ParkedState::InputRequired, "which?"),
        |run| run.retry(Duration::ZERO),
        Run::release,
    ];
    for settle in ways {
        let mut run = scene.running().await;
        cancel(&scene, run.key(), GRACE).await;
        let settle = settle(&mut run);
        let outcome = scene.store.settle(settle.clone()).await.unwrap();
        let Settled::Now { last } = outcome else { panic!("{:?}: {outcome:?}", settle.how) };
        let task = scene.task(run.key()).await;
        assert_eq!((task.status.state, task.status.seq), (TaskState::Canceled, last));
        assert_eq!(task.last_seq, last);
        assert!(scene.claim(run.worker, 10).await.is_empty());
        assert_eq!(scene.store.settle(settle).await.unwrap(), Settled::Already { last });
    }
}

pub async fn a_cancel_that_is_not_obeyed_is_done_by_force(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    cancel(&scene, run.key(), GRACE).await;
    assert!(scene.reap().await.is_empty());
    cancel(&scene, run.key(), Duration::from_millis(1)).await;
    assert_eq!(cancel(&scene, run.key(), GRACE).await, CancelRequested::Asked { seq: Seq(2) });
    eventually("the earlier deadline passes", || async {
        let reaped = scene.reap().await;
        assert!(reaped.iter().all(|r| *r == Reaped::Canceled { key: run.key() }), "{reaped:?}");
        !reaped.is_empty()
    })
    .await;
    assert_eq!(scene.state(run.key()).await, TaskState::Canceled);
    let late = scene.store.append(run.append(vec![working()])).await.unwrap();
    assert_eq!(late, Appended::Ended(TaskState::Canceled));
    let late = scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(late, Settled::Ended(TaskState::Canceled));
    assert_eq!(scene.log(run.key()).await.len(), 3);
}

pub async fn cancel_of_a_task_whose_worker_is_dead_ends_it(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    cancel(&scene, run.key(), GRACE).await;
    scene.loses_its_lease(run.worker).await;
    assert_eq!(scene.reaped().await, [Reaped::Canceled { key: run.key() }], "no waiting for grace");
    assert_eq!(scene.state(run.key()).await, TaskState::Canceled);
    let worker = scene.worker().await;
    assert!(scene.claim(worker, 10).await.is_empty(), "and no new attempt");
    let late = scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    assert_eq!(late, Settled::Ended(TaskState::Canceled));
    assert_one_final_status(&scene, run.key()).await;
}

pub async fn an_unknown_task_cannot_be_canceled(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = TaskKey { owner: scene.owner, task: TaskId::new(uuid()) };
    assert_eq!(cancel(&scene, key, GRACE).await, CancelRequested::NotFound);
}

pub async fn cancel_and_end_have_one_winner(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..20 {
        let key = scene.accepted().await;
        let worker = scene.worker().await;
        let (canceled, settled) = {
            let (one, two) = (scene.clone(), scene.clone());
            let asked =
                longhaul_runtime::spawn("cancel", async move { cancel(&one, key, GRACE).await });
            let ran = longhaul_runtime::spawn("run", async move {
                let claimed = two.claim(worker, 1).await.pop()?;
                let mut run = Run::of(worker, claimed);
                Some(two.store.settle(run.end(TerminalState::Completed)).await.unwrap())
            });
            (asked.await.unwrap(), ran.await.unwrap())
        };
        let expected = match (canceled, settled) {
            (CancelRequested::Canceled { .. }, None) => TaskState::Canceled,
            (CancelRequested::Asked { .. }, Some(Settled::Now { .. }))
            | (CancelRequested::Ended(TaskState::Completed), Some(Settled::Now { .. })) => {
                TaskState::Completed
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(scene.state(key).await, expected);
        assert_one_final_status(&scene, key).await;
    }
}

pub async fn force_and_end_have_one_winner(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..20 {
        let mut run = scene.running().await;
        cancel(&scene, run.key(), Duration::ZERO).await;
        let (key, settle) = (run.key(), run.end(TerminalState::Completed));
        let outcomes = at_once((0..3).map(|n| {
            let (store, settle) = (Arc::clone(&scene.store), settle.clone());
            async move {
                if n == 1 {
                    return matches!(store.settle(settle).await.unwrap(), Settled::Now { .. });
                }
                store.reap(REAP).await.unwrap().done.contains(&Reaped::Canceled { key })
            }
        }))
        .await;
        let winners = outcomes.iter().filter(|won| **won).count();
        assert!(winners <= 1, "{outcomes:?}");
        eventually("it has ended", || async {
            scene.reap().await;
            scene.state(key).await.is_terminal()
        })
        .await;
        assert_one_final_status(&scene, key).await;
    }
}

async fn assert_one_final_status(scene: &Scene, key: TaskKey) {
    let bodies = scene.bodies(key).await;
    let ends = bodies.iter().filter(|b| b.status().is_some_and(|s| s.state.is_terminal())).count();
    assert_eq!(ends, 1, "{bodies:?}");
    assert!(bodies.last().unwrap().status().is_some(), "nothing follows the end");
}
