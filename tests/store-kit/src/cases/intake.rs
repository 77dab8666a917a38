//! Acceptance of messages: acknowledged messages are there.

use crate::kit::{TestClient, run_concurrently, said};
use longhaul_domain::{EntryBody, Seq, TaskId, TaskKey, TaskState, TerminalState};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, FollowedUp, SnapshotOptions, Store, TaskBudget,
};
use std::sync::Arc;

pub async fn an_accepted_task_is_there_with_its_message(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let new_request = client.new_request("hello");
    let Accepted::Created { at, seq } = client.store.accept_new(new_request.clone()).await.unwrap()
    else {
        panic!("a new message makes a task");
    };
    assert_eq!(seq, Seq(1));
    let task = client.task(new_request.key).await;
    assert_eq!(
        (task.key, &task.agent, &task.context),
        (new_request.key, &new_request.agent, &new_request.context)
    );
    assert_eq!((task.created_at, task.status.at), (at, at));
    assert_eq!((task.status.state, task.status.seq), (TaskState::Submitted, Seq::START));
    assert_eq!(task.history.len(), 1);
    assert_eq!(task.history[0].message, new_request.accept.message.message);
    assert_eq!(at.timestamp_subsec_nanos() % 1_000_000, 0, "times are whole milliseconds");
    let log = client.log(new_request.key).await;
    assert_eq!((log[0].at, log[0].attempt), (at, 0));
    assert_eq!(log[0].body, EntryBody::Message(new_request.accept.message));
    assert_eq!(task.agent, client.agent);
}

pub async fn many_tasks_are_accepted_at_once(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let asked: Vec<_> = (0..200).map(|n| client.new_request(&n.to_string())).collect();
    let keys: Vec<TaskKey> = asked.iter().map(|a| a.key).collect();
    run_concurrently(asked.into_iter().map(|new_request| {
        let client = client.clone();
        async move { client.create(new_request).await }
    }))
    .await;
    for (n, key) in keys.into_iter().enumerate() {
        assert_eq!(client.task(key).await.history[0].message.text(), n.to_string());
    }
}

pub async fn a_task_whose_id_is_taken_is_named_and_fails_alone(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let taken = client.accepted().await;
    let mut asked: Vec<_> = (0..30).map(|n| client.new_request(&n.to_string())).collect();
    asked[13].key = taken;
    let answers = run_concurrently(asked.iter().cloned().map(|new_request| {
        let store = Arc::clone(&client.store);
        async move { store.accept_new(new_request).await }
    }))
    .await;
    for (n, (new_request, answer)) in asked.iter().zip(answers).enumerate() {
        if n == 13 {
            assert_eq!(answer.unwrap(), Accepted::TaskExists);
        } else {
            assert!(matches!(answer, Ok(Accepted::Created { .. })), "{answer:?}");
            assert_eq!(client.task(new_request.key).await.last_seq, Seq(1));
        }
    }
    assert_eq!(client.task(taken).await.history[0].message.text(), "hello");
}

pub async fn of_two_messages_for_one_task_id_one_creates_it(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.new_request("").key;
    let answers = run_concurrently((0..10).map(|n| {
        let request = AcceptNew { key, ..client.new_request(&n.to_string()) };
        let store = Arc::clone(&client.store);
        async move { store.accept_new(request).await.unwrap() }
    }))
    .await;
    let created = |answer: &&Accepted| matches!(answer, Accepted::Created { .. });
    assert_eq!(answers.iter().filter(created).count(), 1);
    let refused = |answer: &&Accepted| **answer == Accepted::TaskExists;
    assert_eq!(answers.iter().filter(refused).count(), 9);
    assert_eq!(client.log(key).await.len(), 1);
}

pub async fn a_follow_up_is_appended_to_a_queued_task(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let outcome = client.follow_up(key, "and this").await;
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(2), last: Seq(2), woken: false });
    let run = client.claim_one().await;
    assert_eq!(client.texts(run.key()).await, ["hello", "and this"]);
}

pub async fn a_follow_up_beyond_the_budget_of_its_task_is_refused(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let within = |text: &str, messages, bytes| AcceptFollowUp {
        budget: TaskBudget { messages, bytes },
        ..client.new_follow_up(key, text)
    };
    let follow = |says| client.store.accept_follow_up(says);
    for _ in 0..2 {
        let outcome = follow(within("more", 3, 10_000)).await.unwrap();
        assert!(matches!(outcome, FollowedUp::Appended { .. }), "{outcome:?}");
    }
    let refused = [within("more", 2, 10_000), within(&"x".repeat(9_999), 3, 10_000)];
    for says in refused {
        assert_eq!(follow(says).await.unwrap(), FollowedUp::OverBudget);
    }
    let last = within("last", 3, 10_000);
    let outcome = follow(last.clone()).await.unwrap();
    assert_eq!(outcome, FollowedUp::Appended { seq: Seq(4), last: Seq(4), woken: false });
    let again = follow(AcceptFollowUp { budget: TaskBudget { messages: 0, bytes: 0 }, ..last });
    let again = again.await.unwrap();
    assert_eq!(again, FollowedUp::Duplicate { task: key.task, seq: Seq(4) }, "it was said before");
    assert_eq!(client.log(key).await.len(), 4);
}

pub async fn concurrent_follow_ups_are_all_appended(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let keys = [client.accepted().await, client.accepted().await];
    let mut places: Vec<(TaskKey, Seq)> = run_concurrently((0..40).map(|n| {
        let (client, key) = (client.clone(), keys[n % 2]);
        async move {
            match client.follow_up(key, &n.to_string()).await {
                FollowedUp::Appended { seq, .. } => (key, seq),
                other => panic!("{other:?}"),
            }
        }
    }))
    .await;
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 40, "each has a place of its own");
    for key in keys {
        assert_eq!(client.log(key).await.len(), 21);
    }
}

pub async fn a_follow_up_to_an_unknown_task_is_not_found(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = TaskKey { owner: client.owner, task: TaskId::new(crate::kit::uuid()) };
    assert_eq!(client.follow_up(key, "hello?").await, FollowedUp::NotFound);
    assert_eq!(client.store.read_task(key, SnapshotOptions::ALL).await.unwrap(), None);
}

pub async fn a_follow_up_to_an_ended_task_is_refused_by_name(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    client.store.settle(run.end(TerminalState::Rejected)).await.unwrap();
    let outcome = client.follow_up(run.key(), "too late").await;
    assert_eq!(outcome, FollowedUp::Ended(TaskState::Rejected));
    assert_eq!(client.log(run.key()).await.len(), 3);
}

pub async fn any_text_is_read_back_unchanged(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let text = "q'uote \"double\" \\ back \u{1} \u{7f} ünï 漢字 🦀 {} $1 ?1 :a\r\n\t";
    let key = client.accepted().await;
    let mut message = said("m '; --", text);
    let metadata = r#"{"n":12345678901234567890,"f":1.0,"e":1e999999,"z":null,"b":{"y":1,"a":2}}"#;
    message.request_metadata = Some(longhaul_domain::JsonObject::parse(metadata).unwrap());
    message.accepted_output_modes = vec![text.to_owned()];
    let mut accept = client.accept("m", "");
    accept.message = message.clone();
    let outcome = client
        .store
        .accept_follow_up(AcceptFollowUp { key, accept, budget: TaskBudget::UNLIMITED })
        .await
        .unwrap();
    assert!(matches!(outcome, FollowedUp::Appended { .. }));
    assert_eq!(client.bodies(key).await[1], EntryBody::Message(message));
}
