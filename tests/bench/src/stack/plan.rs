//! What a stack is to consist of.

use super::{Mode, Route, Stack};
use std::path::{Path, PathBuf};

/// The agents that are measured: `echo` answers at once, `script` does what it is told.
pub(super) const CONFIG: &str = r#"
[server]
default_agent = "echo"

[worker]
concurrency = 256

[log]
filter = "warn"

[[agent]]
name = "echo"
executor = "echo"

[[agent]]
name = "script"
executor = "script"
"#;

/// Durable, with memory for the tables that are measured, as documented in `docs/performance.md`.
const POSTGRES: [(&str, &str); 4] = [
    ("synchronous_commit", "on"),
    ("fsync", "on"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
];

/// A stack to be started.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) mode: Mode,
    pub(super) nodes: usize,
    pub(super) workers: usize,
    pub(super) route: Route,
    pub(super) settings: Vec<String>,
    pub(super) postgres: Vec<(String, String)>,
    pub(super) binaries: Option<PathBuf>,
    pub(super) statements: bool,
}

impl Plan {
    /// One API node and one worker, or the one process.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            nodes: 1,
            workers: 1,
            route: Route::default(),
            settings: Vec::new(),
            postgres: POSTGRES.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            binaries: None,
            statements: false,
        }
    }

    /// So many API nodes; embedded, there is the one process.
    #[must_use]
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// So many workers; embedded, there is the one process.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// This way to Postgres and RabbitMQ.
    #[must_use]
    pub const fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// A setting of every Longhaul process: `("server.max_queued", "500")`.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        self.set_line(&format!("{key}={value}"))
    }

    /// A setting of every Longhaul process: `server.max_queued=500`.
    #[must_use]
    pub fn set_line(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// A setting of Postgres.
    #[must_use]
    pub fn postgres(mut self, key: &str, value: &str) -> Self {
        self.postgres.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The Postgres whose binaries are in this folder.
    #[must_use]
    pub fn binaries(mut self, folder: &Path) -> Self {
        self.binaries = Some(folder.to_owned());
        self
    }

    /// With `pg_stat_statements`, where it is installed.
    #[must_use]
    pub const fn statements(mut self) -> Self {
        self.statements = true;
        self
    }

    /// Starts everything and waits until it is ready.
    pub async fn start(self) -> Stack {
        super::start::start(self).await
    }
}
