//! Benchmark of the file store: clients that wait for their task, one worker that claims and
//! settles, and a reader of grown logs, as in embedded mode but without the wire and the executors.
//!
//! `cargo bench -p longhaul-store-sqlite -- [clients] [tasks] [folder]` prints tasks per second,
//! latency, CPU time by kind of thread for 1,000 tasks, and bytes written per task. Every answer is
//! checked.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use futures::{FutureExt as _, StreamExt as _};
use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, EntryBody, Message, MessageId,
    OwnerId, Part, Role, Seq, TaskId, TaskKey, TaskState, TerminalState, WorkerId,
    log::{StatusChange, UserMessage},
};
use longhaul_runtime::{IdSource, SystemClock, SystemIds, spawn};
use longhaul_store::{
    AcceptNew, Accepted, AgentSlots, Append, ClaimRequest, ClaimedRun, DedupeKey, IncomingMessage,
    IntakeStore, LogSignal, NewWorker, ReadLimit, ReadStore, RunOptions, Settle, SettleAs, Settled,
    SignalSource, Store, WorkerStore,
};
use longhaul_store_sqlite::SqliteStore;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, oneshot};

type Waiting = Mutex<HashMap<TaskKey, oneshot::Sender<()>>>;

struct Bench {
    store: Arc<SqliteStore>,
    agent: AgentName,
    waiting: Waiting,
    accepted: Notify,
}

fn main() {
    let numbers: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let number = |at: usize, or| numbers.get(at).map_or(or, |text| text.parse().unwrap());
    let (clients, tasks) = (number(0, 256), number(1, 20_000));
    let folder = numbers.get(2).map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(folder.path(), clients, tasks));
}

async fn run(folder: &Path, clients: usize, tasks: usize) {
    let store = SqliteStore::open(folder, Arc::new(SystemClock), Arc::new(SystemIds)).unwrap();
    store.migrate().await.unwrap();
    let (waiting, agent) = (Waiting::default(), AgentName::new("echo").unwrap());
    let bench = Arc::new(Bench { store, agent, waiting, accepted: Notify::new() });
    let worker = WorkerId::new(SystemIds.uuid_v7());
    let lease = Duration::from_secs(3_600);
    let new = NewWorker { id: worker, name: "bench/1".to_owned(), agents: Vec::new(), lease };
    bench.store.register_worker(new).await.unwrap();
    let house = [
        spawn("worker", work(Arc::clone(&bench), worker)),
        spawn("reader", read(Arc::clone(&bench))),
    ];
    let (cpu, written) = (cpu(), written());
    let began = Instant::now();
    let share = tasks / clients;
    let all = (0..clients).map(|_| {
        let bench = Arc::clone(&bench);
        spawn("client", async move {
            let mut took = Vec::with_capacity(share);
            for _ in 0..share {
                let began = Instant::now();
                ask(&bench).await;
                took.push(began.elapsed());
            }
            took
        })
    });
    let mut took = Vec::with_capacity(tasks);
    for client in all.collect::<Vec<_>>() {
        took.extend(client.await.unwrap());
    }
    report(began.elapsed(), &mut took, &cpu, written);
    house.iter().for_each(tokio::task::JoinHandle::abort);
    bench.store.close().await;
}

/// Sends one message and waits for its task to end.
async fn ask(bench: &Bench) {
    let id = SystemIds.uuid_v7();
    let said = Message::new(MessageId::from(id), Role::User, vec![Part::text("hello, echo")]);
    let message = UserMessage::new(said);
    let dedupe = DedupeKey::from_message(&bench.agent, &message);
    let key = TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(id) };
    let (done, ended) = oneshot::channel();
    bench.waiting.lock().unwrap().insert(key, done);
    let new = AcceptNew {
        key,
        agent: bench.agent.clone(),
        context: ContextId::from(id),
        options: RunOptions::default(),
        accept: IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None },
    };
    let accepted = bench.store.accept_new(new).await.unwrap();
    assert!(matches!(accepted, Accepted::Created { .. }), "{accepted:?}");
    bench.accepted.notify_one();
    ended.await.unwrap();
}

async fn work(bench: Arc<Bench>, worker: WorkerId) {
    loop {
        let slots = vec![AgentSlots::new(bench.agent.clone(), 256)];
        let request = ClaimRequest { worker, slots, limit: 256 };
        let claimed = bench.store.claim(request).await.unwrap();
        if claimed.is_empty() {
            bench.accepted.notified().await;
        }
        for claimed in claimed {
            spawn("run", settle(Arc::clone(&bench), claimed));
        }
    }
}

async fn settle(bench: Arc<Bench>, claimed: ClaimedRun) {
    let parts = claimed.opening.unwrap().message.parts;
    let artifact = ArtifactUpdate {
        artifact: Artifact::new(ArtifactId::new("artifact-1").unwrap(), parts),
        append: false,
        last_chunk: true,
        metadata: None,
    };
    let output = Append {
        key: claimed.key,
        fence: claimed.fence,
        op: 1,
        attempt: claimed.attempt,
        entries: vec![
            EntryBody::Status(StatusChange::to(TaskState::Working)),
            EntryBody::Artifact(artifact),
            EntryBody::Status(StatusChange::to(TaskState::Completed)),
        ],
        blobs: Vec::new(),
        checkpoints: Vec::new(),
    };
    let how = SettleAs::End(TerminalState::Completed);
    let settle = Settle { how, read_up_to: claimed.last_seq, output };
    let settled = bench.store.settle(settle).await.unwrap();
    assert_eq!(settled, Settled::Now { last: Seq(4) });
}

/// Reads grown logs, and notifies the clients whose task has ended.
async fn read(bench: Arc<Bench>) {
    let mut signals = bench.store.log_signals().await.unwrap();
    while let Some(first) = signals.next().await {
        let mut cursors = Vec::new();
        let mut signal = Some(first);
        while let Some(LogSignal::Grown(grown)) = signal {
            let new = grown.into_iter().filter(|(_, seq)| *seq > Seq(1));
            cursors.extend(new.map(|(key, _)| (key, Seq(1))));
            signal = signals.next().now_or_never().flatten();
        }
        assert_ne!(signal, Some(LogSignal::Missed));
        for (key, page) in bench.store.read_logs(cursors, ReadLimit::default()).await.unwrap() {
            assert_eq!((page.entries.len(), page.state), (3, TaskState::Completed));
            bench.waiting.lock().unwrap().remove(&key).unwrap().send(()).unwrap();
        }
    }
}

/// CPU time so far by thread name, in ticks of 10 ms.
fn cpu() -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, r)| r.rsplit_once(')')) else {
            continue;
        };
        let ticks = rest.split_whitespace().skip(11).take(2).map(|n| n.parse().unwrap_or(0));
        *all.entry(name.to_owned()).or_default() += ticks.sum::<u64>();
    }
    all
}

/// Bytes that this process has written to disk.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn report(
    all: Duration,
    took: &mut [Duration],
    before: &BTreeMap<String, u64>,
    written_before: u64,
) {
    let tasks = took.len();
    let count = f64::from(u32::try_from(tasks).unwrap());
    println!("{tasks} tasks, {:.0} a second", count / all.as_secs_f64());
    took.sort_unstable();
    for (name, at) in [("p50", tasks / 2), ("p99", tasks * 99 / 100), ("longest", tasks - 1)] {
        println!("  {:.2} ms {name}", took[at].as_secs_f64() * 1_000.0);
    }
    let mut sum = 0.0;
    for (name, ticks) in cpu() {
        let ticks = ticks.saturating_sub(before.get(&name).copied().unwrap_or(0));
        let seconds = f64::from(u32::try_from(ticks).unwrap()) / 100.0;
        sum += seconds;
        println!("  {:.3} CPU s of {name}", seconds / count * 1_000.0);
    }
    println!("  {:.3} CPU s in all", sum / count * 1_000.0);
    let bytes = u32::try_from((written() - written_before) / 1_000).unwrap();
    println!("  {:.0} bytes written for each", f64::from(bytes) * 1_000.0 / count);
}
