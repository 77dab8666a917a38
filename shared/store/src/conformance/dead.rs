//! Dead letters: every failure is on the list until somebody has dealt with it, and is begun again once at most.

use super::kit::{Run, Scene, at_once, status, uuid, working};
use crate::{
    DeadLetter, DeadLetterQuery, DeadLetterResolution, Redrive, RedriveOutcome, RequestCancel,
    SettleAs, Store,
};
use longhaul_domain::{
    EntryBody, FailureKind, MessageId, TaskFailure, TaskId, TaskKey, TaskState, TerminalState,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// A task that has failed.
async fn dead(scene: &Scene, because: FailureKind, cause: &str) -> TaskKey {
    let mut run = scene.running().await;
    let failed = TaskFailure::new(because, cause, 1);
    let context = run.claimed.context.clone();
    let last = failed.status(run.key().task, &context, None, || MessageId::from(uuid()));
    let settle = run.settle(SettleAs::End(TerminalState::Failed), vec![working(), last]);
    scene.store.settle(settle).await.unwrap();
    run.key()
}

const fn query() -> DeadLetterQuery {
    DeadLetterQuery {
        owner: None,
        agent: None,
        because: None,
        from: None,
        before: None,
        cause_contains: None,
        handled: false,
        after: None,
        limit: 100,
    }
}

async fn listed(scene: &Scene, query: DeadLetterQuery) -> Vec<DeadLetter> {
    scene.store.dead(query).await.unwrap()
}

fn keys(letters: &[DeadLetter]) -> HashSet<TaskKey> {
    letters.iter().map(|letter| letter.key).collect()
}

async fn letter(scene: &Scene, key: TaskKey) -> DeadLetter {
    scene.store.dead_letter(key).await.unwrap().expect("it has failed")
}

pub async fn a_failure_is_listed_with_what_is_known_of_it(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let mut run = scene.claim_one().await;
    let context = run.claimed.context.clone();
    let failed = TaskFailure::new(FailureKind::AttemptsUsedUp, "no route to host", 2);
    let last = failed.status(run.key().task, &context, None, || MessageId::from(uuid()));
    let settle = run.settle(SettleAs::End(TerminalState::Failed), vec![last]);
    scene.store.settle(settle).await.unwrap();
    let expected = DeadLetter {
        key: run.key(),
        owner_name: "first".to_owned(),
        agent: scene.agent.clone(),
        context,
        at: scene.task(run.key()).await.status.at,
        because: FailureKind::AttemptsUsedUp,
        cause: "no route to host".to_owned(),
        attempts: 2,
        handled: None,
    };
    assert_eq!(letter(&scene, run.key()).await, expected);
    assert_eq!(listed(&scene, query()).await, [expected]);
}

pub async fn a_failure_without_a_reason_is_fatal(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    scene.store.settle(run.end(TerminalState::Failed)).await.unwrap();
    let fatal = letter(&scene, run.key()).await;
    assert_eq!((fatal.because, fatal.cause.as_str()), (FailureKind::Fatal, "done"));
    let mut silent = scene.running().await;
    let last = EntryBody::Status(longhaul_domain::log::StatusChange::to(TaskState::Failed));
    let settle = silent.settle(SettleAs::End(TerminalState::Failed), vec![last]);
    scene.store.settle(settle).await.unwrap();
    let fatal = letter(&scene, silent.key()).await;
    assert_eq!((fatal.because, fatal.cause.as_str()), (FailureKind::Fatal, ""));
}

pub async fn what_did_not_fail_is_not_dead(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut tasks = vec![scene.accepted().await];
    let cancel = RequestCancel { key: tasks[0], grace: Duration::ZERO };
    scene.store.request_cancel(cancel).await.unwrap();
    for state in [TerminalState::Completed, TerminalState::Rejected, TerminalState::Canceled] {
        let mut run = scene.running().await;
        scene.store.settle(run.end(state)).await.unwrap();
        tasks.push(run.key());
    }
    let mut run = scene.running().await;
    scene.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    tasks.push(run.key());
    tasks.push(TaskKey { owner: scene.owner, task: TaskId::new(uuid()) });
    for key in tasks {
        assert_eq!(scene.store.dead_letter(key).await.unwrap(), None);
        assert!(!scene.store.dismiss(key).await.unwrap());
        let redrive = Redrive { dead: key, new: scene.asks("again") };
        assert_eq!(scene.store.redrive(redrive.clone()).await.unwrap(), RedriveOutcome::NotDead);
        let none = scene.store.agent_of(scene.owner, redrive.new.key.task).await.unwrap();
        assert_eq!(none, None, "and no task is made");
    }
    assert_eq!(listed(&scene, query()).await, []);
}

pub async fn the_list_of_the_dead_is_filtered(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let (stranger, other) = (scene.stranger().await, scene.for_agent("other"));
    let one = dead(&scene, FailureKind::Fatal, "disk FULL at 100%").await;
    let two = dead(&scene, FailureKind::Poison, "disk gone").await;
    let three = dead(&other, FailureKind::Fatal, "no route").await;
    let four = dead(&stranger, FailureKind::Fatal, "no route").await;
    let of = |keys: &[TaskKey]| keys.iter().copied().collect::<HashSet<_>>();
    let contains =
        |text: &str| DeadLetterQuery { cause_contains: Some(text.to_owned()), ..query() };
    let at = letter(&scene, three).await.at;
    let cases = [
        (query(), of(&[one, two, three, four])),
        (DeadLetterQuery { owner: Some(scene.owner), ..query() }, of(&[one, two, three])),
        (DeadLetterQuery { agent: Some(other.agent.clone()), ..query() }, of(&[three])),
        (DeadLetterQuery { because: Some(FailureKind::Poison), ..query() }, of(&[two])),
        (contains("Disk"), of(&[one, two])),
        (contains("full"), of(&[one])),
        (contains("100%"), of(&[one])),
        (contains("%"), of(&[one])),
        (contains("_"), of(&[])),
        (DeadLetterQuery { owner: Some(stranger.owner), ..contains("route") }, of(&[four])),
    ];
    for (query, expected) in cases {
        assert_eq!(keys(&listed(&scene, query.clone()).await), expected, "{query:?}");
    }
    let from = keys(&listed(&scene, DeadLetterQuery { from: Some(at), ..query() }).await);
    let before = keys(&listed(&scene, DeadLetterQuery { before: Some(at), ..query() }).await);
    assert!(from.contains(&three), "a time includes its moment");
    assert_eq!(from.union(&before).count(), 4);
    assert!(from.is_disjoint(&before));
}

pub async fn the_dead_are_listed_latest_first_page_by_page(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for n in 0..11 {
        dead(&scene, FailureKind::Fatal, &n.to_string()).await;
    }
    let mut all: Vec<DeadLetter> = Vec::new();
    loop {
        let after = all.last().map(|letter| (letter.at, letter.key.task));
        let page = listed(&scene, DeadLetterQuery { after, limit: 4, ..query() }).await;
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    assert_eq!(keys(&all).len(), 11);
    let place = |letter: &DeadLetter| (letter.at, letter.key.task);
    assert!(all.windows(2).all(|pair| place(&pair[0]) > place(&pair[1])));
}

pub async fn a_redriven_task_begins_again_as_a_new_one(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = dead(&scene, FailureKind::Fatal, "no route").await;
    let redrive = Redrive { dead: key, new: scene.asks("again") };
    let task = redrive.new.key.task;
    assert_eq!(scene.store.redrive(redrive.clone()).await.unwrap(), RedriveOutcome::Now { task });
    assert_eq!(scene.state(key).await, TaskState::Failed, "the old one stays as it is");
    assert_eq!(letter(&scene, key).await.handled, Some(DeadLetterResolution::Redriven(task)));
    assert_eq!(listed(&scene, query()).await, []);
    assert_eq!(listed(&scene, DeadLetterQuery { handled: true, ..query() }).await.len(), 1);
    let again = scene.store.redrive(redrive).await.unwrap();
    assert!(
        matches!(again, RedriveOutcome::Already { task: t } | RedriveOutcome::Now { task: t } if t == task),
        "the answer may have been lost: {again:?}"
    );
    assert!(!scene.store.dismiss(key).await.unwrap(), "it is dealt with");
    let run = scene.claim_one().await;
    assert_eq!((run.key().task, run.claimed.attempt), (task, 1));
}

pub async fn a_dead_task_is_redriven_once_by_two(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..5 {
        let key = dead(&scene, FailureKind::Fatal, "no route").await;
        let answers = at_once((0..4).map(|n: i32| {
            let (scene, new) = (scene.clone(), scene.asks(&n.to_string()));
            async move { scene.store.redrive(Redrive { dead: key, new }).await.unwrap() }
        }))
        .await;
        let now: Vec<TaskId> = answers
            .iter()
            .filter_map(|answer| match answer {
                RedriveOutcome::Now { task } => Some(*task),
                _ => None,
            })
            .collect();
        assert_eq!(now.len(), 1, "{answers:?}");
        let already = answers.iter().filter(|a| **a == RedriveOutcome::Already { task: now[0] });
        assert_eq!(already.count(), 3);
        let mut run: Run = scene.claim_one().await;
        assert_eq!(run.key().task, now[0], "one task was made");
        scene.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    }
}

pub async fn a_dismissed_letter_is_off_the_list(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = dead(&scene, FailureKind::Fatal, "no route").await;
    let dismissed = at_once((0..4).map(|_| {
        let store = Arc::clone(&scene.store);
        async move { store.dismiss(key).await.unwrap() }
    }))
    .await;
    assert_eq!(dismissed.iter().filter(|done| **done).count(), 1, "once");
    assert_eq!(listed(&scene, query()).await, []);
    assert_eq!(letter(&scene, key).await.handled, Some(DeadLetterResolution::Dismissed));
    let redrive = Redrive { dead: key, new: scene.asks("again") };
    assert_eq!(scene.store.redrive(redrive).await.unwrap(), RedriveOutcome::NotDead);
    let worker = scene.worker().await;
    assert!(scene.claim(worker, 10).await.is_empty());
}

pub async fn dismiss_and_redrive_have_one_winner(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..5 {
        let key = dead(&scene, FailureKind::Fatal, "no route").await;
        let won = at_once((0..2).map(|n| {
            let (scene, new) = (scene.clone(), scene.asks("again"));
            async move {
                if n == 0 {
                    return scene.store.dismiss(key).await.unwrap();
                }
                let redriven = scene.store.redrive(Redrive { dead: key, new }).await.unwrap();
                matches!(redriven, RedriveOutcome::Now { .. })
            }
        }))
        .await;
        assert_ne!(won[0], won[1], "{won:?}");
        let worker = scene.worker().await;
        assert_eq!(scene.claim(worker, 10).await.len(), usize::from(won[1]));
    }
}

pub async fn a_stranger_finds_no_dead_letter(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let stranger = scene.stranger().await;
    let key = dead(&scene, FailureKind::Fatal, "no route").await;
    let stolen = TaskKey { owner: stranger.owner, task: key.task };
    assert_eq!(scene.store.dead_letter(stolen).await.unwrap(), None);
    assert!(!scene.store.dismiss(stolen).await.unwrap());
    let redrive = Redrive { dead: stolen, new: stranger.asks("mine") };
    assert_eq!(scene.store.redrive(redrive).await.unwrap(), RedriveOutcome::NotDead);
    assert_eq!(letter(&scene, key).await.handled, None);
}

pub async fn a_task_that_was_redriven_can_die_again(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = dead(&scene, FailureKind::Fatal, "first").await;
    let redrive = Redrive { dead: key, new: scene.asks("again") };
    let second = redrive.new.key;
    scene.store.redrive(redrive).await.unwrap();
    let mut run = scene.claim_one().await;
    let entries = vec![status(TaskState::Failed, "second")];
    let settle = run.settle(SettleAs::End(TerminalState::Failed), entries);
    scene.store.settle(settle).await.unwrap();
    assert_eq!(keys(&listed(&scene, query()).await), HashSet::from([second]));
    assert_eq!(letter(&scene, second).await.cause, "second");
}
