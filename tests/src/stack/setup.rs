//! Configuration of a stack before it is started.

use std::fmt::Write;
use std::fs;

use tempfile::TempDir;

use super::{Mode, NodeSlot, ProcessKind, Stack};
use crate::{Broker, Database};

/// The default agents of a stack; `script` is the default agent of the server.
const DEFAULT_AGENTS_TOML: &str = r#"
[server]
default_agent = "script"

[[agent]]
name = "script"
executor = "script"
input_modes = ["text/plain", "application/*"]

[[agent]]
name = "echo"
executor = "echo"

[[agent]]
name = "direct"
executor = "script"
direct = true
"#;

/// Default settings: quick enough for a test, slow enough for a loaded machine.
const DEFAULT_SETTINGS: [&str; 4] =
    ["worker.probe_interval=500ms", "server.cancel_grace=1s", "worker.drain=1s", "server.drain=5s"];

/// Builder of a [`Stack`].
pub struct StackBuilder {
    pub(super) mode: Mode,
    pub(super) settings: Vec<String>,
    nodes: usize,
    workers: usize,
    config: String,
    keys: Vec<(String, String)>,
    database: Option<Database>,
    broker: Option<Broker>,
    /// The address through which processes reach the database, if not its own.
    pub(super) database_proxy: Option<String>,
}

impl StackBuilder {
    /// One API node and one worker, or one `longhaul dev`, without authentication.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            settings: DEFAULT_SETTINGS.map(str::to_owned).to_vec(),
            nodes: 1,
            workers: 1,
            config: DEFAULT_AGENTS_TOML.to_owned(),
            keys: Vec::new(),
            database: None,
            broker: None,
            database_proxy: None,
        }
    }

    /// Adds a setting, such as `("worker.lease", "5s")`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// Shortens the lease to two seconds, for tests whose workers die. On a loaded machine a live
    /// worker may lose such a lease, and its task then runs twice, as promised: a test that counts
    /// streamed events keeps the default lease.
    #[must_use]
    pub fn short_lease(self) -> Self {
        self.set("worker.lease", "2s")
    }

    /// Replaces the default `longhaul.toml`.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// Adds an agent to `longhaul.toml`: the lines of its `[[agent]]`.
    #[must_use]
    pub fn agent(mut self, toml: &str) -> Self {
        write!(self.config, "\n[[agent]]\n{toml}\n").expect("a string takes everything");
        self
    }

    /// Sets the number of API nodes; embedded mode has one.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Sets the number of workers; embedded mode runs tasks in its one process.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Creates a key of this owner with these scopes, and requires keys from all callers.
    #[must_use]
    pub fn key(mut self, owner: &str, scopes: &str) -> Self {
        self.keys.push((owner.to_owned(), scopes.to_owned()));
        self
    }

    /// Uses this database instead of a fresh one on the shared server.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.database = Some(database);
        self
    }

    /// Connects the processes to the database through a proxy at `127.0.0.1:PORT`, or several
    /// hosts, comma-separated.
    #[must_use]
    pub fn database_proxy(mut self, address: &str) -> Self {
        self.database_proxy = Some(address.to_owned());
        self
    }

    /// Uses this broker instead of a share of the shared one.
    #[must_use]
    pub fn broker(mut self, broker: Broker) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Starts everything and waits until it is ready.
    pub async fn start(self) -> Stack {
        let workers = if self.mode == Mode::Embedded { 0 } else { self.workers };
        let nodes = if self.mode == Mode::Embedded { 1 } else { self.nodes };
        let mut stack = self.prepare();
        // Workers start first: an API node has no card until an agent is registered.
        for _ in 0..workers {
            stack.add_worker().await;
        }
        for _ in 0..nodes {
            let mut place = NodeSlot::reserve();
            let launch = stack.launch(ProcessKind::of_node(stack.mode()), &place.address());
            place.start(launch).await;
            stack.nodes.push(place);
        }
        stack
    }

    /// Creates a stack with database, schema and keys, but no processes.
    fn prepare(mut self) -> Stack {
        let folder =
            TempDir::with_prefix("longhaul-stack-").expect("the temporary folder is writable");
        fs::write(folder.path().join("longhaul.toml"), &self.config)
            .expect("our folder is writable");
        let distributed = self.mode == Mode::Distributed;
        let (database, broker) = (self.database.take(), self.broker.take());
        let keys = std::mem::take(&mut self.keys);
        let mut stack = Stack {
            nodes: Vec::new(),
            workers: Vec::new(),
            database: distributed.then(|| database.unwrap_or_else(Database::create)),
            broker: distributed.then(|| broker.unwrap_or_else(Broker::shared)),
            keys: Vec::new(),
            setup: self,
            folder,
        };
        if distributed {
            stack.run(&["migrate"]);
        }
        for (owner, scopes) in keys {
            let key = stack.create_key(&owner, &scopes);
            stack.keys.push(key);
        }
        stack
    }
}

impl Stack {
    /// Creates a key with `longhaul keys create`; in embedded mode, the process must be stopped.
    pub fn create_key(&self, owner: &str, scopes: &str) -> String {
        let data = self.folder().join("data").display().to_string();
        let mut arguments = vec!["keys", "create", "--owner", owner, "--scope", scopes];
        if self.mode() == Mode::Embedded {
            arguments.extend(["--data", &data]);
        }
        self.run(&arguments).trim().to_owned()
    }
}
