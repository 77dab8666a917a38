//! A real document is processed by a Python plugin for the official SDK, in one process and on
//! Postgres and RabbitMQ. The result is complete even when its worker is killed in the middle.
//!
//! The SDK's checks are in `tests/python/documents_client.py`, one scenario for each promise.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use longhaul_tests::child::ProcessExit;
use longhaul_tests::port::Port;
use longhaul_tests::process::{ProcessBuilder, TestProcess};
use longhaul_tests::{Broker, Database, eventually, paths};
use serde_json::Value;
use tempfile::TempDir;

const CLIENT_LIMIT: Duration = Duration::from_secs(240);
const LEASE: &str = "worker.lease=2s";

fn example() -> PathBuf {
    paths::workspace().join("examples/documents")
}

/// A search path that begins with the tests' Python: the example's configuration says `python3`, as
/// in an active environment.
fn search_path() -> OsString {
    let python = paths::python();
    let folder = python.parent().expect("the interpreter is in a folder").to_owned();
    let rest = env::var_os("PATH").unwrap_or_default();
    env::join_paths([folder].into_iter().chain(env::split_paths(&rest))).expect("no odd folder")
}

/// `longhaul` with the example's configuration and its plugin's environment.
fn longhaul(arguments: &[&str]) -> ProcessBuilder {
    let config = example().join("longhaul.toml");
    let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    all.extend(["--config".into(), config.into()]);
    ProcessBuilder::lab(all)
        .env("PATH", search_path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DOCUMENTS_ALLOW_PRIVATE_URLS", "1")
}

fn python(arguments: &[&str]) -> ProcessBuilder {
    ProcessBuilder::program(paths::python(), arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(&example())
}

/// Starts the SDK client with these scenarios, in order.
fn start_client(bases: &[&str], key: Option<&str>, scenarios: &[&str]) -> TestProcess {
    let script = paths::workspace().join("tests/python/documents_client.py");
    let mut arguments = vec![script.to_str().expect("the workspace's path is text")];
    arguments.extend(bases);
    arguments.extend(scenarios.iter().flat_map(|scenario| ["--scenario", scenario]));
    arguments.extend(key.iter().flat_map(|key| ["--key", key]));
    python(&arguments).start()
}

/// Waits for the SDK client; panics with its output when a promise is broken. Returns a line for
/// each scenario.
fn results(client: &TestProcess) -> Vec<Value> {
    let exit = client.wait_exit(CLIENT_LIMIT);
    assert_eq!(exit, ProcessExit::Code(0), "{}\n{}", client.stdout(), client.stderr());
    let lines = client.stdout();
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn names(results: &[Value]) -> Vec<&str> {
    results.iter().filter_map(|result| result["scenario"].as_str()).collect()
}

const SCENARIOS: [&str; 7] = ["pages", "asks", "url", "broken", "several", "large", "cancel"];

/// `longhaul dev` running the example.
struct Dev {
    process: TestProcess,
    base: String,
    _port: Port,
    _data: TempDir,
}

impl Dev {
    async fn start() -> Self {
        let (port, data) =
            (Port::reserve(), TempDir::new().expect("the temporary folder is writable"));
        let folder = data.path().join("data");
        let folder = folder.to_str().expect("a path that is text");
        let process = longhaul(&["dev", "--listen", &port.address(), "--data", folder]).start();
        let base = format!("http://{}", port.address());
        process.wait_ready(&base).await;
        Self { process, base, _port: port, _data: data }
    }
}

/// Two API nodes and two workers on Postgres and RabbitMQ.
struct Fleet {
    apis: Vec<(TestProcess, Port)>,
    workers: Vec<(TestProcess, Port)>,
    key: String,
    database: Database,
    _broker: Broker,
}

impl Fleet {
    async fn start() -> Self {
        let (database, broker) = (Database::create(), Broker::shared());
        let url = database.url();
        let on_servers = |launch: ProcessBuilder| {
            launch
                .env("LONGHAUL_DATABASE_URL", &url)
                .env("LONGHAUL_AMQP_URL", broker.url())
                .env("LONGHAUL_AMQP_PREFIX", broker.prefix())
        };
        let finished = |arguments: &[&str]| {
            let process = on_servers(longhaul(arguments)).start();
            let exit = process.wait_exit(Duration::from_secs(60));
            assert_eq!(exit, ProcessExit::Code(0), "{arguments:?}: {}", process.stderr());
            process.stdout().trim().to_owned()
        };
        finished(&["migrate"]);
        let key = finished(&["keys", "create", "--owner", "reader"]);
        let start = |command: &str, more: &[&str]| {
            let port = Port::reserve();
            let address = port.address();
            let mut arguments = vec![command, "--listen", &address];
            arguments.extend(more);
            (on_servers(longhaul(&arguments)).start(), port)
        };
        let fleet = Self {
            apis: (0..2).map(|_| start("api", &[])).collect(),
            workers: (0..2).map(|_| start("worker", &["--set", LEASE])).collect(),
            key,
            database,
            _broker: broker.clone(),
        };
        for (process, port) in fleet.workers.iter().chain(&fleet.apis) {
            process.wait_ready(&format!("http://{}", port.address())).await;
        }
        fleet
    }

    fn client(&self, scenarios: &[&str]) -> TestProcess {
        let bases: Vec<String> =
            self.apis.iter().map(|(_, port)| format!("http://{}", port.address())).collect();
        let bases: Vec<&str> = bases.iter().map(String::as_str).collect();
        start_client(&bases, Some(&self.key), scenarios)
    }

    /// The worker that runs a task with more than this many log entries.
    async fn worker_in_the_middle(&self, entries: u32) -> &TestProcess {
        let sql = format!(
            "select w.name from runs r join workers w on w.worker_id = r.worker
             join task_state s using (owner_id, task_id) where s.last_seq > {entries}"
        );
        eventually(CLIENT_LIMIT, "a worker is in the middle of the document", async || {
            let name = self.database.sql(&sql);
            let mut workers = self.workers.iter().map(|(worker, _)| worker);
            workers.find(|worker| name.ends_with(&format!(":{}", worker.pid()))).ok_or(name)
        })
        .await
    }

    /// Number of tasks that are queued or running.
    fn open_tasks(&self) -> String {
        self.database.sql("select count(*) from runs")
    }
}

#[test]
fn the_plugins_own_tests_pass() {
    let tests = python(&["-m", "unittest", "discover", "-s", "tests"]).start();
    assert_eq!(tests.wait_exit(CLIENT_LIMIT), ProcessExit::Code(0), "{}", tests.stderr());
    assert!(!tests.stderr().contains("Ran 0 tests"), "{}", tests.stderr());
}

#[test]
fn the_example_pins_the_package_that_the_tests_run_it_with() {
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("a list of packages");
    let tested = read(paths::workspace().join("tests/python/requirements.txt"));
    let pinned = read(example().join("requirements.txt"));
    assert!(pinned.contains("pypdf=="), "{pinned}");
    for package in pinned.lines() {
        assert!(tested.lines().any(|line| line == package), "{package}");
    }
}

#[tokio::test]
async fn the_sdk_gets_documents_processed_in_one_process() {
    let dev = Dev::start().await;
    let client = start_client(&[&dev.base], None, &SCENARIOS);
    assert_eq!(names(&results(&client)), SCENARIOS);
    assert!(dev.process.is_running());
}

#[tokio::test]
async fn the_sdk_gets_documents_processed_on_postgres_and_rabbitmq() {
    let fleet = Fleet::start().await;
    let client = fleet.client(&SCENARIOS);
    assert_eq!(names(&results(&client)), SCENARIOS);
    assert_eq!(fleet.open_tasks(), "0", "nothing is left to run");
}

#[tokio::test]
async fn a_document_whose_worker_is_killed_is_completed_by_the_other_with_each_page_once() {
    let fleet = Fleet::start().await;
    let client = fleet.client(&["survive"]);
    fleet.worker_in_the_middle(50).await.kill9();
    assert_eq!(fleet.open_tasks(), "1", "the document was not done yet");

    let results = results(&client);
    assert_eq!(names(&results), ["survive"]);
    let survivors = fleet.workers.iter().filter(|(worker, _)| worker.is_running()).count();
    assert_eq!(survivors, 1);
    // The second run resumed after the last checkpoint: the artifact was begun once, and no page
    // was streamed twice.
    assert_eq!((&results[0]["begun"], &results[0]["chunks"]), (&1.into(), &800.into()));
    assert_eq!(fleet.open_tasks(), "0", "nothing is left to run");
}
