//! Claims: fair, bounded, and each run goes to one worker.

use crate::kit::{TestClient, agent, eventually, message, run_concurrently, uuid};
use longhaul_domain::{EntryBody, JsonObject, Role, Seq, TaskKey, TaskState, WorkerId};
use longhaul_store::{
    AgentSlots, ClaimRequest, HistoryPage, HistoryQuery, MAX_OPENING_BYTES, Store,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

pub async fn a_claim_returns_what_the_run_needs(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let metadata = JsonObject::parse(r#"{"n":1.0}"#).unwrap();
    let mut new_request = client.new_request("hello");
    new_request.accept.trace =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    new_request.accept.message.request_metadata = Some(metadata.clone());
    new_request.accept.message.accepted_output_modes = vec!["text/plain".into(), "image/*".into()];
    let created = new_request.clone();
    client.create(new_request).await;
    let claimed = client.claim_one().await.claimed;
    let task = client.task(created.key).await;
    assert_eq!((claimed.key, &claimed.agent), (created.key, &created.agent));
    assert_eq!((&claimed.context, claimed.created_at), (&created.context, task.created_at));
    assert_eq!((claimed.attempt, claimed.turn, claimed.state), (1, 1, TaskState::Submitted));
    assert_eq!((claimed.last_seq, claimed.cancel), (Seq(1), false));
    assert_eq!(claimed.message_seq, Seq(1));
    let opening = claimed.opening.expect("a small first message comes along");
    assert_eq!(opening.message, task.history[0].message);
    assert_eq!(opening.request_metadata, Some(metadata));
    assert_eq!(opening.accepted_output_modes, ["text/plain", "image/*"]);
    assert_eq!(client.history(created.key).await, task.history);
    assert_eq!(claimed.trace, created.accept.trace);
    assert!(claimed.waited < Duration::from_secs(60));
    assert_eq!((claimed.deadline, claimed.deadline_in), (None, None));
    assert_eq!(task.last_seq, Seq(1), "a claim assigns no place in the log");
}

pub async fn runs_are_claimed_by_priority_and_then_by_age(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for (text, priority) in [("c", 0), ("a", 7), ("e", -3), ("d", 0), ("b", 7)] {
        let mut new_request = client.new_request(text);
        new_request.options.priority = priority;
        client.create(new_request).await;
    }
    let worker = client.worker().await;
    let mut order = Vec::new();
    for _ in 0..5 {
        for claimed in client.claim(worker, 1).await {
            order.push(claimed.opening.unwrap().message.text());
        }
    }
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
    assert!(client.claim(worker, 1).await.is_empty());
}

pub async fn a_claim_takes_no_more_than_slots_and_limit_allow(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let other = client.for_agent("other");
    for _ in 0..6 {
        client.accepted().await;
        other.accepted().await;
        client.for_agent("third").accepted().await;
    }
    let worker = client.worker().await;
    let claim = |echo, other, limit| {
        let slots =
            vec![AgentSlots::new(agent("echo"), echo), AgentSlots::new(agent("other"), other)];
        let store = Arc::clone(&client.store);
        async move {
            let claimed = store.claim(ClaimRequest { worker, slots, limit }).await.unwrap();
            let of = |name: &str| claimed.iter().filter(|c| c.agent.as_str() == name).count();
            (of("echo"), of("other"), claimed.len())
        }
    };
    assert_eq!(claim(2, 1, 10).await, (2, 1, 3));
    assert_eq!(claim(10, 10, 3).await.2, 3);
    let (echo, others, all) = claim(100, 100, 100).await;
    assert_eq!(echo + others, all, "agents that were not named are not handed out");
    assert_eq!(all, 12 - 6);
}

pub async fn a_delayed_task_waits_for_its_time(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut far = client.new_request("far");
    far.options.delay = Duration::from_secs(3_600);
    client.create(far.clone()).await;
    let mut near = client.new_request("near");
    near.options.delay = Duration::from_millis(30);
    client.create(near.clone()).await;
    let worker = client.worker().await;
    eventually("the delayed task is due", || async {
        client.reap().await;
        client.claim(worker, 10).await.iter().any(|claimed| claimed.key == near.key)
    })
    .await;
    assert!(client.claim(worker, 10).await.is_empty());
    assert_eq!(client.state(far.key).await, TaskState::Submitted);
}

pub async fn each_run_goes_to_one_worker(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    for _ in 0..60 {
        client.accepted().await;
    }
    let mut workers = Vec::new();
    for _ in 0..8 {
        workers.push(client.worker().await);
    }
    let claimed: Vec<TaskKey> = run_concurrently(workers.into_iter().map(|worker| {
        let client = client.clone();
        async move {
            let mut keys = Vec::new();
            // A claim may be empty because a concurrent one locks the runs; that one gets them.
            for _ in 0..60 {
                keys.extend(client.claim(worker, 3).await.into_iter().map(|c| c.key));
            }
            keys
        }
    }))
    .await
    .concat();
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 60);
}

pub async fn a_worker_without_a_lease_gets_nothing(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    client.accepted().await;
    assert!(client.claim(WorkerId::new(uuid()), 10).await.is_empty());
    let late = client.worker().await;
    client.expire_lease(late).await;
    let watch = client.worker().await;
    eventually("the lease is over", || async {
        let claimed = client.claim(late, 10).await;
        for claimed in &claimed {
            // The lease was still valid: release the run.
            let mut run = crate::kit::RunWriter::new(late, claimed.clone());
            client.store.settle(run.release()).await.unwrap();
        }
        claimed.is_empty()
    })
    .await;
    assert_eq!(client.claim(watch, 10).await.len(), 1);
}

pub async fn a_claim_is_bounded_and_history_is_read_by_page(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let key = client.accepted().await;
    let answers = run_concurrently((0..100).map(|n| {
        let client = client.clone();
        async move { client.follow_up(key, &n.to_string()).await }
    }))
    .await;
    assert_eq!(answers.len(), 100);
    let claimed = client.claim_one().await.claimed;
    assert_eq!((claimed.opening, claimed.message_seq), (None, Seq(101)));
    let newest = |rows, bytes| HistoryQuery { before: Seq(102), rows, bytes };
    let page = client.store.read_history(key, newest(10, 1 << 20)).await.unwrap();
    let seqs: Vec<i64> = page.entries.iter().map(|(seq, _)| seq.0).collect();
    assert_eq!((seqs, page.more), ((92..=101).collect(), true));
    assert_eq!(client.history(key).await.len(), 101, "all pages together are the whole history");
    let before = HistoryQuery { before: Seq(1), rows: 10, bytes: 1 << 20 };
    assert_eq!(client.store.read_history(key, before).await.unwrap(), HistoryPage::default());
}

pub async fn a_history_page_is_bounded_in_bytes(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let large = "x".repeat(30_000);
    let new_request = client.new_request(&large);
    let key = new_request.key;
    client.create(new_request).await;
    for _ in 0..5 {
        client.follow_up(key, &large).await;
    }
    let page = |bytes| HistoryQuery { before: Seq(7), rows: 100, bytes };
    for (bytes, fit) in [(100_000, 3), (31_000, 1), (1, 1), (1 << 20, 6)] {
        let page = client.store.read_history(key, page(bytes)).await.unwrap();
        assert_eq!((page.entries.len(), page.more), (fit, fit < 6), "{bytes}");
        assert_eq!(page.entries.last().unwrap().0, Seq(6), "the newest is always there");
    }
}

pub async fn a_large_first_message_is_not_part_of_the_claim(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let new_request = client.new_request(&"x".repeat(usize::try_from(MAX_OPENING_BYTES).unwrap()));
    let key = new_request.key;
    client.create(new_request.clone()).await;
    let claimed = client.claim_one().await.claimed;
    assert_eq!((claimed.opening, claimed.message_seq), (None, Seq(1)));
    assert_eq!(client.history(key).await[0].message, new_request.accept.message.message);
}

pub async fn a_claim_after_an_attempt_tells_what_the_agent_had_said(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut run = client.running().await;
    let progress = crate::kit::status(TaskState::Working, "half way");
    client.store.append(run.append(vec![progress])).await.unwrap();
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let again = client.claim_one().await.claimed;
    let history = client.history(again.key).await;
    let spoken: Vec<_> =
        history.iter().map(|item| (item.message.role, item.message.text())).collect();
    assert_eq!(
        spoken,
        [
            (Role::User, message(Role::User, "m", "hello").text()),
            (Role::Agent, "half way".to_owned())
        ]
    );
    assert_eq!((again.attempt, again.state), (2, TaskState::Working));
}

pub async fn the_metadata_of_the_last_request_is_found_however_long_ago(store: Arc<dyn Store>) {
    let client = TestClient::new(store).await;
    let mut new_request = client.new_request("hello");
    let metadata = JsonObject::parse(r#"{"n":1.0}"#).unwrap();
    new_request.accept.message.request_metadata = Some(metadata.clone());
    new_request.accept.message.accepted_output_modes = vec!["text/plain".into()];
    client.create(new_request).await;
    let mut run = client.claim_one().await;
    for _ in 0..11 {
        let said = (0..100).map(|_| crate::kit::status(TaskState::Working, "still working"));
        client.store.append(run.append(said.collect())).await.unwrap();
    }
    client.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let again = client.claim_one().await.claimed;
    assert_eq!((again.message_seq, again.opening), (Seq(1), None));
    let place = HistoryQuery { before: again.message_seq.next(), rows: 1, bytes: 1 };
    let page = client.store.read_history(again.key, place).await.unwrap();
    let EntryBody::Message(said) = &page.entries[0].1 else { panic!("{page:?}") };
    assert_eq!(said.request_metadata, Some(metadata));
    assert_eq!(said.accepted_output_modes, ["text/plain"]);
}
