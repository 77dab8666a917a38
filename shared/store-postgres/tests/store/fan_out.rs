//! Notifications go where somebody follows the task, and nowhere else.

use crate::scene::{LIMIT, TestStore, append, asks, open_at, status};
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

/// Appends to each task.
const APPENDS: i64 = 10;

/// An API node: the tasks that it made and follows.
struct Node {
    store: Arc<PostgresStore>,
    tasks: BTreeSet<TaskKey>,
}

async fn node(scene: &TestStore, number: u128) -> Node {
    let options =
        PostgresOptions { max_connections: 2, ..PostgresOptions::new(scene.database.url()) };
    let store = open_at(options).await;
    let channel = SignalChannel::from_bits(number);
    let mut tasks = BTreeSet::new();
    for _ in 0..TASKS_PER_NODE {
        let mut new = asks();
        new.key.task = channel.task_id(new.key.task.uuid());
        tasks.insert(new.key);
        store.accept_new(new).await.unwrap();
    }
    Node { store, tasks }
}

impl Node {
    /// Listens until every task has reached its last entry; gives every notice that was heard.
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

/// Runs the tasks of so many nodes on one worker. Gives what each node heard.
async fn heard_by(nodes: usize) -> Vec<Vec<(TaskKey, Seq)>> {
    let scene = TestStore::new().await;
    let nodes = join_all((0..nodes).map(|number| node(&scene, number as u128))).await;
    let nodes: Vec<Arc<Node>> = nodes.into_iter().map(Arc::new).collect();
    let mut listening = Vec::new();
    for node in &nodes {
        let mut joins = node.store.log_signals().await.unwrap();
        let hearing = Arc::clone(node);
        listening.push(spawn("a node", async move { hearing.hear().await }));
        while !matches!(joins.next().await.unwrap(), LogSignal::Joined(_)) {}
    }
    let all = nodes.len() * TASKS_PER_NODE;
    let request = ClaimRequest { ..scene.request(u32::try_from(all).unwrap()) };
    let runs = scene.store.claim(request).await.unwrap();
    assert_eq!(runs.len(), all);
    for op in 1..=APPENDS {
        let op = i32::try_from(op).unwrap();
        let writes = runs
            .iter()
            .map(|run| scene.store.append(append(run, op, vec![status(TaskState::Working)])));
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
async fn a_node_hears_of_the_tasks_that_it_follows_however_many_nodes_there_are() {
    for nodes in [1, 4, 16] {
        let heard = heard_by(nodes).await;
        // A notice names owner, task and place in the log.
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
async fn a_task_of_another_node_is_heard_of_once_it_is_followed() {
    let scene = TestStore::new().await;
    let other = node(&scene, 5).await;
    let mut signals = scene.store.log_signals().await.unwrap();
    let key = *other.tasks.first().unwrap();
    let runs = other.store.claim(scene.request(8)).await.unwrap();
    let run = runs.iter().find(|run| run.key == key).unwrap();
    crate::scene::follow(&scene.store, &mut signals, key).await;
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
async fn a_process_that_runs_tasks_hears_of_no_log() {
    let scene = TestStore::new().await;
    let other = node(&scene, 9).await;
    let mut logs = scene.store.log_signals().await.unwrap();
    let mut control = scene.store.control_signals().await.unwrap();
    let runs = other.store.claim(scene.request(8)).await.unwrap();
    other.store.append(append(&runs[0], 1, vec![status(TaskState::Working)])).await.unwrap();
    // What is announced after it arrives, so what went before would have, too.
    other.store.announce(&crate::scene::echo(), runs[0].key);
    let announced =
        async { while !matches!(control.next().await.unwrap(), ControlSignal::Runnable(_)) {} };
    timeout(LIMIT, announced).await.expect("workers hear what is announced");
    let log = timeout(Duration::from_millis(50), logs.next()).await;
    assert!(log.is_err(), "{log:?}");
    other.store.close().await;
}
