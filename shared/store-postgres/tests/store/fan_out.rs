//! Notifications reach the processes that follow the task, and no others.

use crate::test_store::{LIMIT, TestStore, append, new_task_request, open_with, status};
use futures::{StreamExt, future::join_all};
use longhaul_domain::{Seq, SignalChannel, TaskKey, TaskState};
use longhaul_runtime::spawn;
use longhaul_store::{
    ClaimRequest, ControlSignal, IntakeStore, LogSignal, SignalSource, Store, WorkerStore,
};
use longhaul_store_postgres::{PostgresOptions, PostgresStore};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Tasks that each node follows.
const TASKS_PER_NODE: usize = 8;

/// Appends per task.
const APPENDS: i64 = 10;

/// An API node with the tasks that it created and follows.
struct Node {
    store: Arc<PostgresStore>,
    tasks: BTreeSet<TaskKey>,
}

async fn node(test: &TestStore, number: u128) -> Node {
    let options =
        PostgresOptions { max_connections: 2, ..PostgresOptions::new(test.database.url()) };
    let store = open_with(options).await;
    let channel = SignalChannel::from_bits(number);
    let mut tasks = BTreeSet::new();
    for _ in 0..TASKS_PER_NODE {
        let mut new = new_task_request();
        new.key.task = channel.task_id(new.key.task.uuid());
        tasks.insert(new.key);
        store.accept_new(new).await.unwrap();
    }
    Node { store, tasks }
}

impl Node {
    /// Listens until every task has reached its last entry; returns the received signals.
    async fn hear(&self) -> Vec<(TaskKey, Seq)> {
        let mut signals = self.store.log_signals().await.unwrap();
        let followed: Vec<TaskKey> = self.tasks.iter().copied().collect();
        self.store.follow_logs(&followed);
        let mut missing = self.tasks.clone();
        let mut heard = Vec::new();
        while !missing.is_empty() {
            let LogSignal::Grown(grown) = signals.next().await.unwrap() else { continue };
            for (key, seq) in grown {
                heard.push((key, seq));
                if seq.0 > APPENDS {
                    missing.remove(&key);
                }
            }
        }
        heard
    }
}

/// Runs the tasks of several nodes on one worker; returns the signals that each node received.
async fn heard_by(nodes: usize) -> Vec<Vec<(TaskKey, Seq)>> {
    let test = TestStore::new().await;
    let nodes = join_all((0..nodes).map(|number| node(&test, number as u128))).await;
    let nodes: Vec<Arc<Node>> = nodes.into_iter().map(Arc::new).collect();
    let mut listening = Vec::new();
    for node in &nodes {
        let mut joins = node.store.log_signals().await.unwrap();
        let hearing = Arc::clone(node);
        listening.push(spawn("a node", async move { hearing.hear().await }));
        while !matches!(joins.next().await.unwrap(), LogSignal::Joined(_)) {}
    }
    let all = nodes.len() * TASKS_PER_NODE;
    let request = ClaimRequest { ..test.request(u32::try_from(all).unwrap()) };
    let runs = test.store.claim(request).await.unwrap();
    assert_eq!(runs.len(), all);
    for op in 1..=APPENDS {
        let op = i32::try_from(op).unwrap();
        let writes = runs
            .iter()
            .map(|run| test.store.append(append(run, op, vec![status(TaskState::Working)])));
        assert!(join_all(writes).await.iter().all(Result::is_ok));
    }
    let mut heard = Vec::new();
    for listening in listening {
        heard.push(timeout(LIMIT, listening).await.expect("every task is heard of").unwrap());
    }
    for (node, heard) in nodes.iter().zip(&heard) {
        let foreign = heard.iter().filter(|(key, _)| !node.tasks.contains(key)).count();
        assert_eq!(foreign, 0, "a node hears of its own tasks only");
    }
    join_all(nodes.iter().map(|node| node.store.close())).await;
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_receives_signals_only_for_tasks_that_it_follows() {
    for nodes in [1, 4, 16] {
        let heard = heard_by(nodes).await;
        // A signal contains owner, task and sequence.
        let bytes: usize = heard.iter().flatten().map(|(key, seq)| notice_bytes(*key, *seq)).sum();
        println!(
            "{nodes} nodes, {} appends: {} bytes of notices a node",
            nodes * TASKS_PER_NODE * usize::try_from(APPENDS).unwrap(),
            bytes / nodes
        );
    }
}

/// Bytes that a task takes in a notification.
fn notice_bytes(key: TaskKey, seq: Seq) -> usize {
    format!("g{:x}.{}.{:x};", key.owner.0, key.task.uuid().simple(), seq.0).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_of_another_nodes_task_arrive_once_it_is_followed() {
    let test = TestStore::new().await;
    let other = node(&test, 5).await;
    let mut signals = test.store.log_signals().await.unwrap();
    let key = *other.tasks.first().unwrap();
    let runs = other.store.claim(test.request(8)).await.unwrap();
    let run = runs.iter().find(|run| run.key == key).unwrap();
    crate::test_store::follow(&test.store, &mut signals, key).await;
    other.store.append(append(run, 1, vec![status(TaskState::Working)])).await.unwrap();
    let heard = async {
        while !matches!(signals.next().await.unwrap(), LogSignal::Grown(grown) if grown == [(key, Seq(2))])
        {
        }
    };
    timeout(LIMIT, heard).await.expect("it is heard of");
    other.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_process_receives_no_log_signals() {
    let test = TestStore::new().await;
    let other = node(&test, 9).await;
    let mut logs = test.store.log_signals().await.unwrap();
    let mut control = test.store.control_signals().await.unwrap();
    let runs = other.store.claim(test.request(8)).await.unwrap();
    other.store.append(append(&runs[0], 1, vec![status(TaskState::Working)])).await.unwrap();
    // A later announcement arrives, so the earlier signals would have arrived too.
    other.store.announce(&crate::test_store::echo_agent(), runs[0].key);
    let announced =
        async { while !matches!(control.next().await.unwrap(), ControlSignal::Runnable(_)) {} };
    timeout(LIMIT, announced).await.expect("workers hear what is announced");
    let log = timeout(Duration::from_millis(50), logs.next()).await;
    assert!(log.is_err(), "{log:?}");
    other.store.close().await;
}
