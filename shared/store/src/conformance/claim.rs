//! Handing out work: fair, bounded, and each run to one worker.

use super::kit::{Scene, agent, at_once, eventually, message, uuid};
use crate::{AgentSlots, ClaimRequest, HistoryPage, HistoryQuery, MAX_OPENING_BYTES, Store};
use longhaul_domain::{EntryBody, JsonObject, Role, Seq, TaskKey, TaskState, WorkerId};
use std::{collections::HashSet, sync::Arc, time::Duration};

pub async fn a_claim_brings_what_the_run_needs(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let metadata = JsonObject::parse(r#"{"n":1.0}"#).unwrap();
    let mut asks = scene.asks("hello");
    asks.accept.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    asks.accept.message.request_metadata = Some(metadata.clone());
    asks.accept.message.accepted_output_modes = vec!["text/plain".into(), "image/*".into()];
    let created = asks.clone();
    scene.create(asks).await;
    let claimed = scene.claim_one().await.claimed;
    let task = scene.task(created.key).await;
    assert_eq!((claimed.key, &claimed.agent), (created.key, &created.agent));
    assert_eq!((&claimed.context, claimed.created_at), (&created.context, task.created_at));
    assert_eq!((claimed.attempt, claimed.turn, claimed.state), (1, 1, TaskState::Submitted));
    assert_eq!((claimed.last_seq, claimed.cancel), (Seq(1), false));
    assert_eq!(claimed.message_seq, Seq(1));
    let opening = claimed.opening.expect("a small first message comes along");
    assert_eq!(opening.message, task.history[0].message);
    assert_eq!(opening.request_metadata, Some(metadata));
    assert_eq!(opening.accepted_output_modes, ["text/plain", "image/*"]);
    assert_eq!(scene.history(created.key).await, task.history);
    assert_eq!(claimed.trace, created.accept.trace);
    assert!(claimed.waited < Duration::from_secs(60));
    assert_eq!((claimed.deadline, claimed.deadline_in), (None, None));
    assert_eq!(task.last_seq, Seq(1), "a claim assigns no place in the log");
}

pub async fn runs_go_by_priority_and_then_by_age(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for (text, priority) in [("c", 0), ("a", 7), ("e", -3), ("d", 0), ("b", 7)] {
        let mut asks = scene.asks(text);
        asks.options.priority = priority;
        scene.create(asks).await;
    }
    let worker = scene.worker().await;
    let mut order = Vec::new();
    for _ in 0..5 {
        for claimed in scene.claim(worker, 1).await {
            order.push(claimed.opening.unwrap().message.text());
        }
    }
    assert_eq!(order, ["a", "b", "c", "d", "e"]);
    assert!(scene.claim(worker, 1).await.is_empty());
}

pub async fn a_claim_takes_no_more_than_slots_and_limit_allow(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let other = scene.for_agent("other");
    for _ in 0..6 {
        scene.accepted().await;
        other.accepted().await;
        scene.for_agent("third").accepted().await;
    }
    let worker = scene.worker().await;
    let claim = |echo, other, limit| {
        let slots =
            vec![AgentSlots::new(agent("echo"), echo), AgentSlots::new(agent("other"), other)];
        let store = Arc::clone(&scene.store);
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
    let scene = Scene::new(store).await;
    let mut far = scene.asks("far");
    far.options.delay = Duration::from_secs(3_600);
    scene.create(far.clone()).await;
    let mut near = scene.asks("near");
    near.options.delay = Duration::from_millis(30);
    scene.create(near.clone()).await;
    let worker = scene.worker().await;
    eventually("the delayed task is due", || async {
        scene.reap().await;
        scene.claim(worker, 10).await.iter().any(|claimed| claimed.key == near.key)
    })
    .await;
    assert!(scene.claim(worker, 10).await.is_empty());
    assert_eq!(scene.state(far.key).await, TaskState::Submitted);
}

pub async fn each_run_goes_to_one_worker(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for _ in 0..60 {
        scene.accepted().await;
    }
    let mut workers = Vec::new();
    for _ in 0..8 {
        workers.push(scene.worker().await);
    }
    let claimed: Vec<TaskKey> = at_once(workers.into_iter().map(|worker| {
        let scene = scene.clone();
        async move {
            let mut keys = Vec::new();
            // A claim may come back empty while another one holds the runs; that one then has them.
            for _ in 0..60 {
                keys.extend(scene.claim(worker, 3).await.into_iter().map(|c| c.key));
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
    let scene = Scene::new(store).await;
    scene.accepted().await;
    assert!(scene.claim(WorkerId::new(uuid()), 10).await.is_empty());
    let late = scene.worker().await;
    scene.loses_its_lease(late).await;
    let watch = scene.worker().await;
    eventually("the lease is over", || async {
        let claimed = scene.claim(late, 10).await;
        for claimed in &claimed {
            // It was still in time; give the run back.
            let mut run = super::kit::Run::of(late, claimed.clone());
            scene.store.settle(run.release()).await.unwrap();
        }
        claimed.is_empty()
    })
    .await;
    assert_eq!(scene.claim(watch, 10).await.len(), 1);
}

pub async fn a_claim_brings_facts_and_the_history_comes_page_by_page(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let key = scene.accepted().await;
    let answers = at_once((0..100).map(|n| {
        let scene = scene.clone();
        async move { scene.follow_up(key, &n.to_string()).await }
    }))
    .await;
    assert_eq!(answers.len(), 100);
    let claimed = scene.claim_one().await.claimed;
    assert_eq!((claimed.opening, claimed.message_seq), (None, Seq(101)));
    let newest = |rows, bytes| HistoryQuery { before: Seq(102), rows, bytes };
    let page = scene.store.read_history(key, newest(10, 1 << 20)).await.unwrap();
    let seqs: Vec<i64> = page.entries.iter().map(|(seq, _)| seq.0).collect();
    assert_eq!((seqs, page.more), ((92..=101).collect(), true));
    assert_eq!(scene.history(key).await.len(), 101, "all pages together are the whole history");
    let before = HistoryQuery { before: Seq(1), rows: 10, bytes: 1 << 20 };
    assert_eq!(scene.store.read_history(key, before).await.unwrap(), HistoryPage::default());
}

pub async fn a_page_of_history_ends_where_its_bytes_end(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let large = "x".repeat(30_000);
    let asks = scene.asks(&large);
    let key = asks.key;
    scene.create(asks).await;
    for _ in 0..5 {
        scene.follow_up(key, &large).await;
    }
    let page = |bytes| HistoryQuery { before: Seq(7), rows: 100, bytes };
    for (bytes, fit) in [(100_000, 3), (31_000, 1), (1, 1), (1 << 20, 6)] {
        let page = scene.store.read_history(key, page(bytes)).await.unwrap();
        assert_eq!((page.entries.len(), page.more), (fit, fit < 6), "{bytes}");
        assert_eq!(page.entries.last().unwrap().0, Seq(6), "the newest is always there");
    }
}

pub async fn a_first_message_that_is_large_does_not_come_along(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let asks = scene.asks(&"x".repeat(usize::try_from(MAX_OPENING_BYTES).unwrap()));
    let key = asks.key;
    scene.create(asks.clone()).await;
    let claimed = scene.claim_one().await.claimed;
    assert_eq!((claimed.opening, claimed.message_seq), (None, Seq(1)));
    assert_eq!(scene.history(key).await[0].message, asks.accept.message.message);
}

pub async fn a_claim_after_an_attempt_tells_what_the_agent_had_said(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let mut run = scene.running().await;
    let progress = super::kit::status(TaskState::Working, "half way");
    scene.store.append(run.append(vec![progress])).await.unwrap();
    scene.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let again = scene.claim_one().await.claimed;
    let history = scene.history(again.key).await;
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
    let scene = Scene::new(store).await;
    let mut asks = scene.asks("hello");
    let metadata = JsonObject::parse(r#"{"n":1.0}"#).unwrap();
    asks.accept.message.request_metadata = Some(metadata.clone());
    asks.accept.message.accepted_output_modes = vec!["text/plain".into()];
    scene.create(asks).await;
    let mut run = scene.claim_one().await;
    for _ in 0..11 {
        let said = (0..100).map(|_| super::kit::status(TaskState::Working, "still at it"));
        scene.store.append(run.append(said.collect())).await.unwrap();
    }
    scene.store.settle(run.retry(Duration::ZERO)).await.unwrap();
    let again = scene.claim_one().await.claimed;
    assert_eq!((again.message_seq, again.opening), (Seq(1), None));
    let place = HistoryQuery { before: again.message_seq.next(), rows: 1, bytes: 1 };
    let page = scene.store.read_history(again.key, place).await.unwrap();
    let EntryBody::Message(said) = &page.entries[0].1 else { panic!("{page:?}") };
    assert_eq!(said.request_metadata, Some(metadata));
    assert_eq!(said.accepted_output_modes, ["text/plain"]);
}
