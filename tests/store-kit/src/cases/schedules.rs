//! Schedules: each due time creates one task, however many nodes try.

use crate::kit::{LONG_LEASE, TestClient, message, run_concurrently, uuid};
use longhaul_domain::{Role, TaskId, TaskKey, Timestamp};
use longhaul_store::{
    Accepted, FireOutcome, FireSchedule, MissedRuns, Schedule, SchedulePlan, Store,
};
use std::{sync::Arc, time::Duration};

fn schedule(client: &TestClient, name: &str, next_at: Option<Timestamp>) -> Schedule {
    let plan = SchedulePlan {
        cron: "0 3 * * *".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        missed: MissedRuns::All,
        message: message(Role::User, "m", "time for it"),
        context: None,
    };
    let (owner, agent) = (client.owner, client.agent.clone());
    let name = name.to_owned();
    Schedule { owner, name, agent, plan, next_at, paused: false, last: None, revision: 0 }
}

/// Creates a schedule that is due, and reads it.
async fn due(client: &TestClient, name: &str) -> Schedule {
    let at = client.now().await - Duration::from_secs(10);
    client.store.put_schedule(schedule(client, name, Some(at))).await.unwrap();
    read(client, name).await.expect("it was put")
}

async fn read(client: &TestClient, name: &str) -> Option<Schedule> {
    client.store.schedule(client.owner, name).await.unwrap()
}

/// Fires a schedule as it was read.
fn fire(client: &TestClient, read: &Schedule) -> FireSchedule {
    let at = read.next_at.expect("it is due");
    FireSchedule {
        owner: read.owner,
        name: read.name.clone(),
        revision: read.revision,
        next_at: Some(at + LONG_LEASE),
        task: Some((at, client.new_request("time for it"))),
    }
}

fn task(fire: &FireSchedule) -> TaskKey {
    fire.task.as_ref().expect("it makes one").1.key
}

pub async fn a_schedule_is_read_back_unchanged(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    assert_eq!(read(&client, "nightly").await, None);
    let next_at = Some(client.now().await + LONG_LEASE);
    let mut put = schedule(&client, "nightly", next_at);
    assert!(client.store.put_schedule(put.clone()).await.unwrap(), "there was none");
    put.revision = 1;
    assert_eq!(read(&client, "nightly").await, Some(put.clone()));
    "0 4 * * *".clone_into(&mut put.plan.cron);
    put.paused = true;
    put.next_at = None;
    assert!(!client.store.put_schedule(put.clone()).await.unwrap());
    put.revision = 2;
    assert_eq!(read(&client, "nightly").await, Some(put));
}

pub async fn a_change_keeps_the_last_task_of_a_schedule(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let read_first = due(&client, "nightly").await;
    let fire = fire(&client, &read_first);
    client.store.fire(fire.clone()).await.unwrap();
    let put = schedule(&client, "nightly", None);
    assert!(!client.store.put_schedule(put).await.unwrap());
    let now = read(&client, "nightly").await.unwrap();
    assert_eq!(now.last, Some((read_first.next_at.unwrap(), task(&fire).task)));
    assert!(now.revision > read_first.revision + 1);
}

pub async fn schedules_are_listed_by_owner_and_name(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    for (client, name) in [(&other_owner, "a"), (&client, "c"), (&client, "b")] {
        client.store.put_schedule(schedule(client, name, None)).await.unwrap();
    }
    let listed = |owner| {
        let store = Arc::clone(&client.store);
        async move {
            let schedules = store.schedules(owner).await.unwrap();
            schedules.into_iter().map(|s| (s.owner, s.name)).collect::<Vec<_>>()
        }
    };
    let (mine, theirs) = (client.owner, other_owner.owner);
    assert_eq!(listed(Some(mine)).await, [(mine, "b".to_owned()), (mine, "c".to_owned())]);
    assert_eq!(listed(Some(theirs)).await, [(theirs, "a".to_owned())]);
    let mut all = listed(Some(mine)).await;
    all.extend(listed(Some(theirs)).await);
    all.sort();
    assert_eq!(listed(None).await, all);
}

pub async fn a_deleted_schedule_is_gone_and_its_tasks_stay(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let fire = fire(&client, &due(&client, "nightly").await);
    client.store.fire(fire.clone()).await.unwrap();
    assert!(
        !client.store.delete_schedule(client.other_owner().await.owner, "nightly").await.unwrap()
    );
    assert!(client.store.delete_schedule(client.owner, "nightly").await.unwrap());
    assert!(!client.store.delete_schedule(client.owner, "nightly").await.unwrap());
    assert_eq!(read(&client, "nightly").await, None);
    assert!(client.store.due_schedules(10).await.unwrap().due.is_empty());
    assert_eq!(client.claim_one().await.key(), task(&fire));
}

pub async fn due_schedules_are_listed_longest_overdue_first(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let empty = client.store.due_schedules(10).await.unwrap();
    assert_eq!((empty.due, empty.next_in), (Vec::new(), None));
    let now = empty.now;
    for (name, ago) in [("b", 20), ("c", 10), ("a", 30)] {
        let next_at = Some(now - Duration::from_secs(ago));
        client.store.put_schedule(schedule(&client, name, next_at)).await.unwrap();
    }
    let paused = Schedule { paused: true, ..schedule(&client, "paused", Some(now)) };
    client.store.put_schedule(paused).await.unwrap();
    client.store.put_schedule(schedule(&client, "never", None)).await.unwrap();
    client.store.put_schedule(schedule(&client, "later", Some(now + LONG_LEASE))).await.unwrap();
    let names = |due: Vec<Schedule>| due.into_iter().map(|s| s.name).collect::<Vec<_>>();
    let found = client.store.due_schedules(10).await.unwrap();
    assert!(found.now >= now);
    assert_eq!(names(found.due), ["a", "b", "c"]);
    assert_eq!(names(client.store.due_schedules(2).await.unwrap().due), ["a", "b"]);
    for name in ["a", "b", "c"] {
        client.store.delete_schedule(client.owner, name).await.unwrap();
    }
    let found = client.store.due_schedules(10).await.unwrap();
    assert!(found.due.is_empty());
    let next_in = found.next_in.expect("one comes later");
    assert!(next_in <= LONG_LEASE && next_in > LONG_LEASE / 2, "{next_in:?}");
}

pub async fn firing_creates_the_task_and_sets_the_next_time(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let before = due(&client, "nightly").await;
    let fire = fire(&client, &before);
    let outcome = client.store.fire(fire.clone()).await.unwrap();
    assert!(matches!(outcome, FireOutcome::Now(Some(Accepted::Created { .. }))), "{outcome:?}");
    let after = read(&client, "nightly").await.unwrap();
    let expected = Schedule {
        next_at: fire.next_at,
        last: Some((before.next_at.unwrap(), task(&fire).task)),
        revision: before.revision + 1,
        ..before
    };
    assert_eq!(after, expected);
    assert!(client.store.due_schedules(10).await.unwrap().due.is_empty());
    assert_eq!(client.claim_one().await.key(), task(&fire));
}

pub async fn of_two_nodes_that_fire_a_schedule_one_succeeds(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for round in 0..5 {
        let read_by_all = due(&client, &round.to_string()).await;
        let answers = run_concurrently((0..6).map(|_| {
            let (store, fire) = (Arc::clone(&client.store), fire(&client, &read_by_all));
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
        let mut run = client.claim_one().await;
        assert_eq!(run.key().task, fired[0], "one task was created");
        client.store.settle(run.end(longhaul_domain::TerminalState::Completed)).await.unwrap();
    }
}

pub async fn a_skipped_time_creates_no_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let before = due(&client, "nightly").await;
    let fire = FireSchedule { task: None, ..fire(&client, &before) };
    assert_eq!(client.store.fire(fire.clone()).await.unwrap(), FireOutcome::Now(None));
    let after = read(&client, "nightly").await.unwrap();
    assert_eq!((after.next_at, after.last), (fire.next_at, None));
    assert_eq!(after.revision, before.revision + 1);
    let worker = client.worker().await;
    assert!(client.claim(worker, 10).await.is_empty());
}

pub async fn firing_an_outdated_revision_does_nothing(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let before = due(&client, "nightly").await;
    client.store.put_schedule(before.clone()).await.unwrap();
    assert_eq!(client.store.fire(fire(&client, &before)).await.unwrap(), FireOutcome::Outdated);
    client.store.delete_schedule(client.owner, "nightly").await.unwrap();
    assert_eq!(client.store.fire(fire(&client, &before)).await.unwrap(), FireOutcome::Outdated);
    let worker = client.worker().await;
    assert!(client.claim(worker, 10).await.is_empty());
}

pub async fn a_task_that_was_created_before_counts_as_fired(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let first = due(&client, "nightly").await;
    let fire_first = fire(&client, &first);
    client.store.fire(fire_first.clone()).await.unwrap();
    let second = read(&client, "nightly").await.unwrap();
    let mut again = fire(&client, &second);
    let (at, mut same) = fire_first.task.clone().unwrap();
    same.key.task = TaskId::new(uuid());
    again.task = Some((at, same));
    let outcome = client.store.fire(again.clone()).await.unwrap();
    let made = task(&fire_first);
    assert!(
        matches!(outcome, FireOutcome::Now(Some(Accepted::Duplicate { task, .. })) if task == made.task),
        "{outcome:?}"
    );
    let after = read(&client, "nightly").await.unwrap();
    assert_eq!((after.next_at, after.revision), (again.next_at, second.revision + 1));
    assert_eq!(client.claim_one().await.key(), made);
}
