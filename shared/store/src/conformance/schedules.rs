//! Schedules: each time makes one task, whoever and however many try.

use super::kit::{LONG, Scene, at_once, message, uuid};
use crate::{Accepted, FireOutcome, FireSchedule, MissedRuns, Schedule, SchedulePlan, Store};
use longhaul_domain::{Role, TaskId, TaskKey, Timestamp};
use std::{sync::Arc, time::Duration};

fn schedule(scene: &Scene, name: &str, next_at: Option<Timestamp>) -> Schedule {
    let plan = SchedulePlan {
        cron: "0 3 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        missed: MissedRuns::All,
        message: message(Role::User, "m", "time for it"),
        context: None,
    };
    let (owner, agent) = (scene.owner, scene.agent.clone());
    let name = name.to_owned();
    Schedule { owner, name, agent, plan, next_at, paused: false, last: None, revision: 0 }
}

/// A schedule that is due, as it is read.
async fn due(scene: &Scene, name: &str) -> Schedule {
    let at = scene.now().await - Duration::from_secs(10);
    scene.store.put_schedule(schedule(scene, name, Some(at))).await.unwrap();
    read(scene, name).await.expect("it was put")
}

async fn read(scene: &Scene, name: &str) -> Option<Schedule> {
    scene.store.schedule(scene.owner, name).await.unwrap()
}

/// Fires a schedule as it was read.
fn fire(scene: &Scene, read: &Schedule) -> FireSchedule {
    let at = read.next_at.expect("it is due");
    FireSchedule {
        owner: read.owner,
        name: read.name.clone(),
        revision: read.revision,
        next_at: Some(at + LONG),
        task: Some((at, scene.asks("time for it"))),
    }
}

fn task(fire: &FireSchedule) -> TaskKey {
    fire.task.as_ref().expect("it makes one").1.key
}

pub async fn a_schedule_comes_back_as_it_was_put(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    assert_eq!(read(&scene, "nightly").await, None);
    let next_at = Some(scene.now().await + LONG);
    let mut put = schedule(&scene, "nightly", next_at);
    assert!(scene.store.put_schedule(put.clone()).await.unwrap(), "there was none");
    put.revision = 1;
    assert_eq!(read(&scene, "nightly").await, Some(put.clone()));
    "0 4 * * *".clone_into(&mut put.plan.cron);
    put.paused = true;
    put.next_at = None;
    assert!(!scene.store.put_schedule(put.clone()).await.unwrap());
    put.revision = 2;
    assert_eq!(read(&scene, "nightly").await, Some(put));
}

pub async fn a_change_keeps_what_a_schedule_made_last(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let read_first = due(&scene, "nightly").await;
    let fire = fire(&scene, &read_first);
    scene.store.fire(fire.clone()).await.unwrap();
    let put = schedule(&scene, "nightly", None);
    assert!(!scene.store.put_schedule(put).await.unwrap());
    let now = read(&scene, "nightly").await.unwrap();
    assert_eq!(now.last, Some((read_first.next_at.unwrap(), task(&fire).task)));
    assert!(now.revision > read_first.revision + 1);
}

pub async fn schedules_are_listed_by_owner_and_name(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    for (scene, name) in [(&stranger, "a"), (&scene, "c"), (&scene, "b")] {
        scene.store.put_schedule(schedule(scene, name, None)).await.unwrap();
    }
    let listed = |owner| {
        let store = Arc::clone(&scene.store);
        async move {
            let schedules = store.schedules(owner).await.unwrap();
            schedules.into_iter().map(|s| (s.owner, s.name)).collect::<Vec<_>>()
        }
    };
    let (mine, theirs) = (scene.owner, stranger.owner);
    assert_eq!(listed(Some(mine)).await, [(mine, "b".to_owned()), (mine, "c".to_owned())]);
    assert_eq!(listed(Some(theirs)).await, [(theirs, "a".to_owned())]);
    let mut all = listed(Some(mine)).await;
    all.extend(listed(Some(theirs)).await);
    all.sort();
    assert_eq!(listed(None).await, all);
}

pub async fn a_deleted_schedule_is_gone_and_its_tasks_stay(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let fire = fire(&scene, &due(&scene, "nightly").await);
    scene.store.fire(fire.clone()).await.unwrap();
    assert!(!scene.store.delete_schedule(scene.stranger().await.owner, "nightly").await.unwrap());
    assert!(scene.store.delete_schedule(scene.owner, "nightly").await.unwrap());
    assert!(!scene.store.delete_schedule(scene.owner, "nightly").await.unwrap());
    assert_eq!(read(&scene, "nightly").await, None);
    assert!(scene.store.due_schedules(10).await.unwrap().due.is_empty());
    assert_eq!(scene.claim_one().await.key(), task(&fire));
}

pub async fn what_is_due_is_found_longest_overdue_first(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let empty = scene.store.due_schedules(10).await.unwrap();
    assert_eq!((empty.due, empty.next_in), (Vec::new(), None));
    let now = empty.now;
    for (name, ago) in [("b", 20), ("c", 10), ("a", 30)] {
        let next_at = Some(now - Duration::from_secs(ago));
        scene.store.put_schedule(schedule(&scene, name, next_at)).await.unwrap();
    }
    let paused = Schedule { paused: true, ..schedule(&scene, "paused", Some(now)) };
    scene.store.put_schedule(paused).await.unwrap();
    scene.store.put_schedule(schedule(&scene, "never", None)).await.unwrap();
    scene.store.put_schedule(schedule(&scene, "later", Some(now + LONG))).await.unwrap();
    let names = |due: Vec<Schedule>| due.into_iter().map(|s| s.name).collect::<Vec<_>>();
    let found = scene.store.due_schedules(10).await.unwrap();
    assert!(found.now >= now);
    assert_eq!(names(found.due), ["a", "b", "c"]);
    assert_eq!(names(scene.store.due_schedules(2).await.unwrap().due), ["a", "b"]);
    for name in ["a", "b", "c"] {
        scene.store.delete_schedule(scene.owner, name).await.unwrap();
    }
    let found = scene.store.due_schedules(10).await.unwrap();
    assert!(found.due.is_empty());
    let next_in = found.next_in.expect("one comes later");
    assert!(next_in <= LONG && next_in > LONG / 2, "{next_in:?}");
}

pub async fn a_fire_makes_its_task_and_moves_on(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let before = due(&scene, "nightly").await;
    let fire = fire(&scene, &before);
    let outcome = scene.store.fire(fire.clone()).await.unwrap();
    assert!(matches!(outcome, FireOutcome::Now(Some(Accepted::Created { .. }))), "{outcome:?}");
    let after = read(&scene, "nightly").await.unwrap();
    let expected = Schedule {
        next_at: fire.next_at,
        last: Some((before.next_at.unwrap(), task(&fire).task)),
        revision: before.revision + 1,
        ..before
    };
    assert_eq!(after, expected);
    assert!(scene.store.due_schedules(10).await.unwrap().due.is_empty());
    assert_eq!(scene.claim_one().await.key(), task(&fire));
}

pub async fn of_two_nodes_that_fire_a_schedule_one_does(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for round in 0..5 {
        let read_by_all = due(&scene, &round.to_string()).await;
        let answers = at_once((0..6).map(|_| {
            let (store, fire) = (Arc::clone(&scene.store), fire(&scene, &read_by_all));
            async move { (task(&fire), store.fire(fire).await.unwrap()) }
        }))
        .await;
        let fired: Vec<TaskId> = answers
            .iter()
            .filter(|(_, answer)| {
                matches!(answer, FireOutcome::Now(Some(Accepted::Created { .. })))
            })
            .map(|(key, _)| key.task)
            .collect();
        assert_eq!(fired.len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|(_, a)| *a == FireOutcome::Outdated).count(), 5);
        let mut run = scene.claim_one().await;
        assert_eq!(run.key().task, fired[0], "one task was made");
        scene.store.settle(run.end(longhaul_domain::TerminalState::Completed)).await.unwrap();
    }
}

pub async fn a_time_that_is_left_out_makes_no_task(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let before = due(&scene, "nightly").await;
    let fire = FireSchedule { task: None, ..fire(&scene, &before) };
    assert_eq!(scene.store.fire(fire.clone()).await.unwrap(), FireOutcome::Now(None));
    let after = read(&scene, "nightly").await.unwrap();
    assert_eq!((after.next_at, after.last), (fire.next_at, None));
    assert_eq!(after.revision, before.revision + 1);
    let worker = scene.worker().await;
    assert!(scene.claim(worker, 10).await.is_empty());
}

pub async fn a_fire_of_what_has_changed_does_nothing(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let before = due(&scene, "nightly").await;
    scene.store.put_schedule(before.clone()).await.unwrap();
    assert_eq!(scene.store.fire(fire(&scene, &before)).await.unwrap(), FireOutcome::Outdated);
    scene.store.delete_schedule(scene.owner, "nightly").await.unwrap();
    assert_eq!(scene.store.fire(fire(&scene, &before)).await.unwrap(), FireOutcome::Outdated);
    let worker = scene.worker().await;
    assert!(scene.claim(worker, 10).await.is_empty());
}

pub async fn a_task_that_was_made_before_counts_as_fired(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let first = due(&scene, "nightly").await;
    let fire_first = fire(&scene, &first);
    scene.store.fire(fire_first.clone()).await.unwrap();
    let second = read(&scene, "nightly").await.unwrap();
    let mut again = fire(&scene, &second);
    let (at, mut same) = fire_first.task.clone().unwrap();
    same.key.task = TaskId::new(uuid());
    again.task = Some((at, same));
    let outcome = scene.store.fire(again.clone()).await.unwrap();
    let made = task(&fire_first);
    assert!(
        matches!(outcome, FireOutcome::Now(Some(Accepted::Duplicate { task, .. })) if task == made.task),
        "{outcome:?}"
    );
    let after = read(&scene, "nightly").await.unwrap();
    assert_eq!((after.next_at, after.revision), (again.next_at, second.revision + 1));
    assert_eq!(scene.claim_one().await.key(), made);
}
