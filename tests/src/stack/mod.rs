//! A whole Longhaul deployment: one `longhaul dev`, or API nodes and workers on Postgres and
//! RabbitMQ.
//!
//! Guarantee: the processes of a [`Stack`] end with it, and two stacks are isolated from each
//! other. A test for both modes is declared with [`on_both_modes`](crate::on_both_modes) and does
//! not depend on the mode, except where it tests several processes.

mod process;
mod setup;

pub use process::{NodeSlot, ProcessKind};
pub use setup::StackBuilder;

use std::time::Duration;

use tempfile::TempDir;

use crate::http::Client;
use crate::process::{ProcessBuilder, TestProcess};
use crate::{Broker, Database};

/// Deployment mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `longhaul dev`: one process, SQLite.
    Embedded,
    /// `longhaul api` and `longhaul worker` on Postgres and RabbitMQ.
    Distributed,
}

/// A running Longhaul.
pub struct Stack {
    // Dropped in this order: the processes are gone before their database and folder are.
    nodes: Vec<NodeSlot>,
    workers: Vec<NodeSlot>,
    database: Option<Database>,
    broker: Option<Broker>,
    keys: Vec<String>,
    setup: StackBuilder,
    folder: TempDir,
}

impl Stack {
    /// The deployment mode.
    pub fn mode(&self) -> Mode {
        self.setup.mode
    }

    /// A client of the first API node, with the first key if there are keys.
    pub fn client(&self) -> Client {
        self.client_at(0)
    }

    /// A client of the API node at this position, modulo the number of nodes; embedded mode has
    /// one.
    pub fn client_at(&self, node: usize) -> Client {
        let client = self.anonymous_at(node);
        match self.keys.first() {
            Some(key) => client.bearer(key),
            None => client,
        }
    }

    /// A client without a key.
    pub fn anonymous(&self) -> Client {
        self.anonymous_at(0)
    }

    fn anonymous_at(&self, node: usize) -> Client {
        Client::new(&self.nodes[node % self.nodes.len()].base())
    }

    /// The key at this position, in the order of [`StackBuilder::key`].
    pub fn key(&self, position: usize) -> &str {
        &self.keys[position]
    }

    /// The address of the first API node.
    pub fn base(&self) -> String {
        self.nodes[0].base()
    }

    /// The API nodes.
    pub fn nodes(&self) -> &[NodeSlot] {
        &self.nodes
    }

    /// The workers; none in embedded mode.
    pub fn workers(&self) -> &[NodeSlot] {
        &self.workers
    }

    /// The folder with `longhaul.toml` and, embedded, the folder `data`.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Replaces `longhaul.toml` for processes that are started from now on.
    pub fn reconfigure(&self, toml: &str) {
        let path = self.folder.path().join("longhaul.toml");
        std::fs::write(path, toml).expect("our folder is writable");
    }

    /// The lines that scripts with `effects NAME` have written: `TASK TURN ATTEMPT WHAT`.
    pub fn effects(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        // A line without a newline is still being written.
        text.split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
            .map(str::to_owned)
            .collect()
    }

    /// The database of a distributed stack.
    pub fn database(&self) -> &Database {
        self.database.as_ref().expect("only a distributed stack has a database")
    }

    /// The database, to point it at another server.
    pub fn database_mut(&mut self) -> &mut Database {
        self.database.as_mut().expect("only a distributed stack has a database")
    }

    /// A command of the binary, on the database of this stack.
    pub fn command(&self, arguments: &[&str]) -> ProcessBuilder {
        let launch = ProcessBuilder::lab(arguments).current_dir(self.folder.path());
        match &self.database {
            Some(database) => launch.env("LONGHAUL_DATABASE_URL", database.url()),
            None => launch,
        }
    }

    /// Kills an API node (SIGKILL).
    pub fn kill_node(&mut self, node: usize) {
        self.nodes[node].kill9();
    }

    /// Restarts an API node on the same port.
    pub async fn start_node(&mut self, node: usize) {
        let launch = self.launch(ProcessKind::of_node(self.mode()), &self.nodes[node].address());
        self.nodes[node].start(launch).await;
    }

    /// Restarts a worker that has ended, at the same address.
    pub async fn start_worker(&mut self, worker: usize) {
        let launch = self.launch(ProcessKind::Worker, &self.workers[worker].address());
        self.workers[worker].start(launch).await;
    }

    /// Kills (SIGKILL) one worker.
    pub fn kill_worker(&mut self, worker: usize) {
        self.workers[worker].kill9();
    }

    /// Kills (SIGKILL) every worker; does nothing in embedded mode.
    pub fn kill_workers(&mut self) {
        for worker in &mut self.workers {
            worker.kill9();
        }
        self.workers.clear();
    }

    /// Starts one more worker.
    pub async fn add_worker(&mut self) {
        let mut place = NodeSlot::reserve();
        let launch = self.launch(ProcessKind::Worker, &place.address());
        place.start(launch).await;
        self.workers.push(place);
    }

    /// Kills (SIGKILL) every process that runs tasks, and starts a replacement.
    pub async fn replace_workers(&mut self) {
        match self.mode() {
            Mode::Embedded => {
                self.kill_node(0);
                self.start_node(0).await;
            }
            Mode::Distributed => {
                for worker in &mut self.workers {
                    worker.kill9();
                }
                self.add_worker().await;
            }
        }
    }

    /// Kills (SIGKILL) and restarts every process.
    pub async fn restart_all(&mut self) {
        for place in self.nodes.iter_mut().chain(&mut self.workers) {
            place.kill9();
        }
        for node in 0..self.nodes.len() {
            self.start_node(node).await;
        }
        for worker in 0..self.workers.len() {
            self.start_worker(worker).await;
        }
    }

    /// The logs of all processes, including ended ones.
    pub fn logs(&self) -> String {
        self.nodes.iter().chain(&self.workers).map(NodeSlot::log).collect()
    }

    /// Panics when a process has logged an error or a panic. Failed tasks are ignored: tests fail
    /// them on purpose.
    pub fn assert_no_errors_logged(&self) {
        let logs = self.logs();
        let bad: Vec<&str> = logs
            .lines()
            .filter(|line| line.contains("\"ERROR\"") || line.contains("panicked at"))
            .filter(|line| !line.contains("\"task failed\""))
            .collect();
        assert!(bad.is_empty(), "the log has errors:\n{}", bad.join("\n"));
    }

    /// Panics when a node fails `/healthz` or does not become ready again.
    pub async fn assert_healthy(&self) {
        for place in &self.nodes {
            place.running().wait_ready(&place.base()).await;
            let health = Client::new(&place.base()).get("/healthz").await;
            assert_eq!(health.status, 200);
        }
    }

    fn launch(&self, role: ProcessKind, address: &str) -> ProcessBuilder {
        let mut arguments: Vec<String> = vec![role.command().to_owned()];
        let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        flag("--listen", address.to_owned());
        flag("--config", self.folder.path().join("longhaul.toml").display().to_string());
        for setting in &self.setup.settings {
            flag("--set", setting.clone());
        }
        if role == ProcessKind::Dev {
            flag("--data", self.folder.path().join("data").display().to_string());
        }
        if role != ProcessKind::Worker {
            let mode = if self.keys.is_empty() { "none" } else { "keys" };
            flag("--auth", mode.to_owned());
        }
        let mut launch = ProcessBuilder::lab(arguments).current_dir(self.folder.path());
        launch = launch.env("SCRIPT_EFFECTS_FOLDER", self.folder.path());
        if let Some(database) = &self.database {
            let proxy = self.setup.database_proxy.as_ref();
            let url = proxy.map_or_else(|| database.url(), |proxy| database.url_through(proxy));
            launch = launch.env("LONGHAUL_DATABASE_URL", url);
        }
        if let Some(broker) = &self.broker {
            launch = launch.env("LONGHAUL_AMQP_URL", broker.url());
            launch = launch.env("LONGHAUL_AMQP_PREFIX", broker.prefix());
        }
        launch
    }

    /// Runs a command to its end and returns its standard output; panics when it fails.
    fn run(&self, arguments: &[&str]) -> String {
        let process = self.command(arguments).start();
        expect_success(&process)
    }
}

/// Waits for a command to end and returns its standard output; panics with its standard error when
/// it failed.
pub fn expect_success(process: &TestProcess) -> String {
    let exit = process.wait_exit(Duration::from_secs(60));
    assert_eq!(exit, crate::child::ProcessExit::Code(0), "it failed: {}", process.stderr());
    process.stdout()
}

/// Turns each function `async fn name(mode: Mode)` into a test of both modes: `embedded::name`,
/// `distributed::name`.
#[macro_export]
macro_rules! on_both_modes {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name($crate::stack::Mode::Embedded).await; })*
        }
        mod distributed {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name($crate::stack::Mode::Distributed).await; })*
        }
    };
}
