//! Dead letters: every failure is listed until it is resolved, and is redriven at most once.

use crate::kit::{RunWriter, TestClient, run_concurrently, status, uuid, working};
use longhaul_domain::{
    EntryBody, FailureKind, MessageId, TaskFailure, TaskId, TaskKey, TaskState, TerminalState,
};
use longhaul_store::{
    DeadLetter, DeadLetterQuery, DeadLetterResolution, Redrive, RedriveOutcome, RequestCancel,
    SettleAs, SnapshotOptions, Store,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Creates a task that has failed.
async fn dead(client: &TestClient, because: FailureKind, cause: &str) -> TaskKey {
    let mut run = client.running().await;
    let failed = TaskFailure::new(because, cause, 1);
    let context = run.claimed.context.clone();
    let last = failed.status(run.key().task, &context, None, || MessageId::from(uuid()));
    let settle = run.settle(SettleAs::End(TerminalState::Failed), vec![working(), last]);
    client.store.settle(settle).await.unwrap();
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

async fn listed(client: &TestClient, query: DeadLetterQuery) -> Vec<DeadLetter> {
    client.store.list_dead_letters(query).await.unwrap()
}

fn keys(letters: &[DeadLetter]) -> HashSet<TaskKey> {
    letters.iter().map(|letter| letter.key).collect()
}

async fn letter(client: &TestClient, key: TaskKey) -> DeadLetter {
    client.store.dead_letter(key).await.unwrap().expect("it has failed")
}

pub async fn a_failure_is_listed_with_its_details(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let mut run = client.claim_one().await;
    let context = run.claimed.context.clone();
    let failed = TaskFailure::new(FailureKind::AttemptsUsedUp, "no route to host", 2);
    let last = failed.status(run.key().task, &context, None, || MessageId::from(uuid()));
    let settle = run.settle(SettleAs::End(TerminalState::Failed), vec![last]);
    client.store.settle(settle).await.unwrap();
    let expected = DeadLetter {
        key: run.key(),
        owner_name: "first".to_owned(),
        agent: client.agent.clone(),
        context,
        at: client.task(run.key()).await.status.at,
        because: FailureKind::AttemptsUsedUp,
        cause: "no route to host".to_owned(),
        attempts: 2,
        handled: None,
    };
    assert_eq!(letter(&client, run.key()).await, expected);
    assert_eq!(listed(&client, query()).await, [expected]);
}

pub async fn a_failure_without_a_reason_is_fatal(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.end(TerminalState::Failed)).await.unwrap();
    let fatal = letter(&client, run.key()).await;
    assert_eq!((fatal.because, fatal.cause.as_str()), (FailureKind::Fatal, "done"));
    let mut silent = client.running().await;
    let last = EntryBody::Status(longhaul_domain::log::StatusChange::to(TaskState::Failed));
    let settle = silent.settle(SettleAs::End(TerminalState::Failed), vec![last]);
    client.store.settle(settle).await.unwrap();
    let fatal = letter(&client, silent.key()).await;
    assert_eq!((fatal.because, fatal.cause.as_str()), (FailureKind::Fatal, ""));
}

pub async fn a_task_that_did_not_fail_is_not_a_dead_letter(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut tasks = vec![client.accepted().await];
    let cancel = RequestCancel { key: tasks[0], grace: Duration::ZERO };
    client.store.request_cancel(cancel).await.unwrap();
    for state in [TerminalState::Completed, TerminalState::Rejected, TerminalState::Canceled] {
        let mut run = client.running().await;
        client.store.settle(run.end(state)).await.unwrap();
        tasks.push(run.key());
    }
    let mut run = client.running().await;
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    tasks.push(run.key());
    tasks.push(TaskKey { owner: client.owner, task: TaskId::new(uuid()) });
    for key in tasks {
        assert_eq!(client.store.dead_letter(key).await.unwrap(), None);
        assert!(!client.store.dismiss(key).await.unwrap());
        let redrive = Redrive { dead: key, new: client.new_request("again") };
        assert_eq!(client.store.redrive(redrive.clone()).await.unwrap(), RedriveOutcome::NotDead);
        let made = client.store.read_task(redrive.new.key, SnapshotOptions::STATUS).await.unwrap();
        assert_eq!(made, None, "no task is created");
    }
    assert_eq!(listed(&client, query()).await, []);
}

pub async fn dead_letters_are_filtered(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let (other_owner, other) = (client.other_owner().await, client.for_agent("other"));
    let one = dead(&client, FailureKind::Fatal, "disk FULL at 100%").await;
    let two = dead(&client, FailureKind::Poison, "disk gone").await;
    let three = dead(&other, FailureKind::Fatal, "no route").await;
    let four = dead(&other_owner, FailureKind::Fatal, "no route").await;
    let of = |keys: &[TaskKey]| keys.iter().copied().collect::<HashSet<_>>();
    let contains =
        |text: &str| DeadLetterQuery { cause_contains: Some(text.to_owned()), ..query() };
    let at = letter(&client, three).await.at;
    let cases = [
        (query(), of(&[one, two, three, four])),
        (DeadLetterQuery { owner: Some(client.owner), ..query() }, of(&[one, two, three])),
        (DeadLetterQuery { agent: Some(other.agent.clone()), ..query() }, of(&[three])),
        (DeadLetterQuery { because: Some(FailureKind::Poison), ..query() }, of(&[two])),
        (contains("Disk"), of(&[one, two])),
        (contains("full"), of(&[one])),
        (contains("100%"), of(&[one])),
        (contains("%"), of(&[one])),
        (contains("_"), of(&[])),
        (DeadLetterQuery { owner: Some(other_owner.owner), ..contains("route") }, of(&[four])),
    ];
    for (query, expected) in cases {
        assert_eq!(keys(&listed(&client, query.clone()).await), expected, "{query:?}");
    }
    let from = keys(&listed(&client, DeadLetterQuery { from: Some(at), ..query() }).await);
    let before = keys(&listed(&client, DeadLetterQuery { before: Some(at), ..query() }).await);
    assert!(from.contains(&three), "a time includes its moment");
    assert_eq!(from.union(&before).count(), 4);
    assert!(from.is_disjoint(&before));
}

pub async fn dead_letters_are_listed_newest_first_by_page(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for n in 0..11 {
        dead(&client, FailureKind::Fatal, &n.to_string()).await;
    }
    let mut all: Vec<DeadLetter> = Vec::new();
    loop {
        let after = all.last().map(|letter| (letter.at, letter.key.task));
        let page = listed(&client, DeadLetterQuery { after, limit: 4, ..query() }).await;
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

pub async fn a_redrive_creates_a_new_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = dead(&client, FailureKind::Fatal, "no route").await;
    let redrive = Redrive { dead: key, new: client.new_request("again") };
    let task = redrive.new.key.task;
    assert_eq!(client.store.redrive(redrive.clone()).await.unwrap(), RedriveOutcome::Now { task });
    assert_eq!(client.state(key).await, TaskState::Failed, "the old one stays as it is");
    assert_eq!(letter(&client, key).await.handled, Some(DeadLetterResolution::Redriven(task)));
    assert_eq!(listed(&client, query()).await, []);
    assert_eq!(listed(&client, DeadLetterQuery { handled: true, ..query() }).await.len(), 1);
    let again = client.store.redrive(redrive).await.unwrap();
    assert!(
        matches!(again, RedriveOutcome::Already { task: t } | RedriveOutcome::Now { task: t } if t == task),
        "the answer may have been lost: {again:?}"
    );
    assert!(!client.store.dismiss(key).await.unwrap(), "it is dealt with");
    let run = client.claim_one().await;
    assert_eq!((run.key().task, run.claimed.attempt), (task, 1));
}

pub async fn concurrent_redrives_create_one_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..5 {
        let key = dead(&client, FailureKind::Fatal, "no route").await;
        let answers = run_concurrently((0..4).map(|n: i32| {
            let (client, new) = (client.clone(), client.new_request(&n.to_string()));
            async move { client.store.redrive(Redrive { dead: key, new }).await.unwrap() }
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
        let mut run: RunWriter = client.claim_one().await;
        assert_eq!(run.key().task, now[0], "one task was created");
        client.store.settle(run.end(TerminalState::Completed)).await.unwrap();
    }
}

pub async fn a_dismissed_letter_is_no_longer_listed(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = dead(&client, FailureKind::Fatal, "no route").await;
    let dismissed = run_concurrently((0..4).map(|_| {
        let store = Arc::clone(&client.store);
        async move { store.dismiss(key).await.unwrap() }
    }))
    .await;
    assert_eq!(dismissed.iter().filter(|done| **done).count(), 1, "once");
    assert_eq!(listed(&client, query()).await, []);
    assert_eq!(letter(&client, key).await.handled, Some(DeadLetterResolution::Dismissed));
    let redrive = Redrive { dead: key, new: client.new_request("again") };
    assert_eq!(client.store.redrive(redrive).await.unwrap(), RedriveOutcome::NotDead);
    let worker = client.worker().await;
    assert!(client.claim(worker, 10).await.is_empty());
}

pub async fn dismiss_and_redrive_have_one_winner(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..5 {
        let key = dead(&client, FailureKind::Fatal, "no route").await;
        let won = run_concurrently((0..2).map(|n| {
            let (client, new) = (client.clone(), client.new_request("again"));
            async move {
                if n == 0 {
                    return client.store.dismiss(key).await.unwrap();
                }
                let redriven = client.store.redrive(Redrive { dead: key, new }).await.unwrap();
                matches!(redriven, RedriveOutcome::Now { .. })
            }
        }))
        .await;
        assert_ne!(won[0], won[1], "{won:?}");
        let worker = client.worker().await;
        assert_eq!(client.claim(worker, 10).await.len(), usize::from(won[1]));
    }
}

pub async fn another_owner_finds_no_dead_letter(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other_owner = client.other_owner().await;
    let key = dead(&client, FailureKind::Fatal, "no route").await;
    let stolen = TaskKey { owner: other_owner.owner, task: key.task };
    assert_eq!(client.store.dead_letter(stolen).await.unwrap(), None);
    assert!(!client.store.dismiss(stolen).await.unwrap());
    let redrive = Redrive { dead: stolen, new: other_owner.new_request("mine") };
    assert_eq!(client.store.redrive(redrive).await.unwrap(), RedriveOutcome::NotDead);
    assert_eq!(letter(&client, key).await.handled, None);
}

pub async fn a_task_that_was_redriven_can_die_again(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = dead(&client, FailureKind::Fatal, "first").await;
    let redrive = Redrive { dead: key, new: client.new_request("again") };
    let second = redrive.new.key;
    client.store.redrive(redrive).await.unwrap();
    let mut run = client.claim_one().await;
    let entries = vec![status(TaskState::Failed, "second")];
    let settle = run.settle(SettleAs::End(TerminalState::Failed), entries);
    client.store.settle(settle).await.unwrap();
    assert_eq!(keys(&listed(&client, query()).await), HashSet::from([second]));
    assert_eq!(letter(&client, second).await.cause, "second");
}
