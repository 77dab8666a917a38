//! No acknowledged write is lost, however the process ends.
//!
//! A child process writes and prints what was acknowledged; it is killed in the middle.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use longhaul_domain::{
    AgentName, Checkpoint, CheckpointName, ContextId, EntryBody, Json, Message, MessageId, OwnerId,
    Part, Role, Seq, TaskId, TaskKey, TaskState, WorkerId,
    log::{StatusChange, UserMessage},
};
use longhaul_runtime::{IdSource, SystemClock, SystemIds};
use longhaul_store::{
    AcceptNew, Accepted, AgentSlots, Append, Appended, ClaimRequest, DedupeKey, IncomingMessage,
    IntakeStore, NewWorker, ReadLimit, ReadStore, RunOptions, SnapshotOptions, Store, StoreError,
    WorkerStore,
};
use longhaul_store_sqlite::SqliteStore;
use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// Environment variable with the folder of the process that is killed.
const FOLDER_VARIABLE: &str = "LONGHAUL_CRASH_TEST_FOLDER";

/// Name of a checkpoint.
const STEP: &str = "step";

fn open(folder: &Path) -> Result<Arc<SqliteStore>, StoreError> {
    SqliteStore::open(folder, Arc::new(SystemClock), Arc::new(SystemIds))
}

fn agent() -> AgentName {
    AgentName::new("echo").unwrap()
}

fn asks() -> AcceptNew {
    let id = SystemIds.uuid_v7();
    let said = Message::new(MessageId::from(id), Role::User, vec![Part::text("hello")]);
    let message = UserMessage::new(said);
    let dedupe = DedupeKey::from_message(&agent(), &message);
    AcceptNew {
        key: TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(id) },
        agent: agent(),
        context: ContextId::from(id),
        options: RunOptions::default(),
        accept: IncomingMessage { message, dedupe, blobs: Vec::new(), trace: None },
    }
}

#[test]
fn acknowledged_writes_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<TaskId, i64> = HashMap::new();
    for round in 1..=3 {
        let mut child = start(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        take_lines(&mut lines, &mut acknowledged, round * 400);
        let refused = open(folder.path()).err().unwrap();
        assert!(refused.to_string().contains("is in use"), "{refused}");
        child.kill().unwrap();
        child.wait().unwrap();
        take_lines(&mut lines, &mut acknowledged, usize::MAX);
        tokio::runtime::Runtime::new().unwrap().block_on(check(folder.path(), &acknowledged));
    }
}

fn start(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "the_process_that_is_killed"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads acknowledgements until there are this many tasks or the process is gone. A truncated line
/// does not count.
fn take_lines(lines: &mut impl BufRead, acknowledged: &mut HashMap<TaskId, i64>, tasks: usize) {
    let mut line = String::new();
    while acknowledged.len() < tasks {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            assert_eq!(tasks, usize::MAX, "the process ended by itself");
            return;
        }
        let Some(rest) = line.strip_prefix("done ").and_then(|rest| rest.strip_suffix('\n')) else {
            continue;
        };
        let (task, seq) = rest.split_once(' ').unwrap();
        let (task, seq) = (task.parse::<TaskId>().unwrap(), seq.parse::<i64>().unwrap());
        let last = acknowledged.entry(task).or_insert(0);
        *last = seq.max(*last);
    }
}

async fn check(folder: &Path, acknowledged: &HashMap<TaskId, i64>) {
    let store = open(folder).unwrap();
    store.check().await.unwrap();
    for (task, last) in acknowledged {
        let key = TaskKey { owner: OwnerId::LOCAL, task: *task };
        let snapshot = store.read_task(key, SnapshotOptions::ALL).await.unwrap();
        let snapshot = snapshot.unwrap_or_else(|| panic!("task {task} is lost"));
        assert!(snapshot.last_seq >= Seq(*last), "task {task} lost entries");
        let log = store.read_log(key, Seq::START, ReadLimit::default()).await.unwrap().unwrap();
        let seqs: Vec<i64> = log.entries.iter().map(|entry| entry.seq.0).collect();
        assert_eq!(seqs, (1..=snapshot.last_seq.0).collect::<Vec<_>>());
        let step = CheckpointName::new(STEP).unwrap();
        let kept = store.read_checkpoint(key, &step).await.unwrap().is_some();
        assert_eq!(
            kept,
            snapshot.status.state == TaskState::Working,
            "with its output or not at all"
        );
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it writes until it is killed; another test starts it"]
async fn the_process_that_is_killed() {
    let store = open(Path::new(&env::var_os(FOLDER_VARIABLE).unwrap())).unwrap();
    store.migrate().await.unwrap();
    let writers = (0..8).map(|_| write_for_ever(Arc::clone(&store)));
    futures::future::join_all(writers).await;
}

async fn write_for_ever(store: Arc<SqliteStore>) {
    let id = WorkerId::new(SystemIds.uuid_v7());
    let lease = Duration::from_secs(600);
    let worker = NewWorker { id, name: "host/1".to_owned(), agents: Vec::new(), lease };
    store.register_worker(worker).await.unwrap();
    loop {
        let new = asks();
        let task = new.key.task;
        let accepted = store.accept_new(new).await.unwrap();
        assert!(matches!(accepted, Accepted::Created { .. }), "{accepted:?}");
        println!("done {task} 1");
        let slots = vec![AgentSlots::new(agent(), 1)];
        let request = ClaimRequest { worker: id, slots, limit: 1 };
        for claimed in store.claim(request).await.unwrap() {
            let append = Append {
                key: claimed.key,
                fence: claimed.fence,
                op: 1,
                attempt: claimed.attempt,
                entries: vec![EntryBody::Status(StatusChange::to(TaskState::Working))],
                blobs: Vec::new(),
                checkpoints: vec![
                    Checkpoint::new(STEP, Json::from_serialize(&7).unwrap()).unwrap(),
                ],
            };
            if let Appended::Now { last } = store.append(append).await.unwrap() {
                println!("done {} {last}", claimed.key.task);
            }
        }
    }
}
