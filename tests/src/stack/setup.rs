//! What a stack consists of, before it is started.

use std::fmt::Write;
use std::fs;

use tempfile::TempDir;

use super::{Mode, Place, Role, Stack};
use crate::{Broker, Database};

/// The agents of a stack, unless the test brings its own: `script` answers where none is named.
const AGENTS: &str = r#"
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

/// Quick enough for a test, slow enough for a loaded machine.
const SETTINGS: [&str; 4] =
    ["worker.probe_interval=500ms", "server.cancel_grace=1s", "worker.drain=1s", "server.drain=5s"];

/// A stack to be started.
pub struct Setup {
    pub(super) mode: Mode,
    pub(super) settings: Vec<String>,
    nodes: usize,
    workers: usize,
    config: String,
    keys: Vec<(String, String)>,
    database: Option<Database>,
    broker: Option<Broker>,
    /// Where the processes find the database, when not at its own address.
    pub(super) database_proxy: Option<String>,
}

impl Setup {
    /// One API node and one worker, or one `longhaul dev`; everybody may call.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            settings: SETTINGS.map(str::to_owned).to_vec(),
            nodes: 1,
            workers: 1,
            config: AGENTS.to_owned(),
            keys: Vec::new(),
            database: None,
            broker: None,
            database_proxy: None,
        }
    }

    /// A setting, as `("worker.lease", "5s")`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// A short lease, for tests whose workers die. On a machine under load a worker may lose such a lease alive, and its
    /// task then runs twice, as is promised: a test that counts what was streamed leaves the lease as it is.
    #[must_use]
    pub fn short_lease(self) -> Self {
        self.set("worker.lease", "2s")
    }

    /// This `longhaul.toml` instead of the usual one.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// One more agent in `longhaul.toml`: the lines of its `[[agent]]`.
    #[must_use]
    pub fn agent(mut self, toml: &str) -> Self {
        write!(self.config, "\n[[agent]]\n{toml}\n").expect("a string takes everything");
        self
    }

    /// So many API nodes; embedded, there is one.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// So many workers; embedded, the one process does it all.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// A key of this owner with these scopes; callers must then show one.
    #[must_use]
    pub fn key(mut self, owner: &str, scopes: &str) -> Self {
        self.keys.push((owner.to_owned(), scopes.to_owned()));
        self
    }

    /// This database instead of a fresh one on the shared server.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.database = Some(database);
        self
    }

    /// The processes reach the database by way of a proxy at `127.0.0.1:PORT`, or of several hosts, comma-separated.
    #[must_use]
    pub fn database_proxy(mut self, address: &str) -> Self {
        self.database_proxy = Some(address.to_owned());
        self
    }

    /// This broker instead of a share of the shared one.
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
        // Workers first: an API node without a registered agent has no card yet.
        for _ in 0..workers {
            stack.add_worker().await;
        }
        for _ in 0..nodes {
            let mut place = Place::reserve();
            let launch = stack.launch(Role::of_node(stack.mode()), &place.address());
            place.start(launch).await;
            stack.nodes.push(place);
        }
        stack
    }

    /// A stack with database, schema and keys, and without processes.
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
    /// Creates a key with `longhaul keys create`. Embedded, only while the process does not run.
    pub fn create_key(&self, owner: &str, scopes: &str) -> String {
        let data = self.folder().join("data").display().to_string();
        let mut arguments = vec!["keys", "create", "--owner", owner, "--scope", scopes];
        if self.mode() == Mode::Embedded {
            arguments.extend(["--data", &data]);
        }
        self.run(&arguments).trim().to_owned()
    }
}
