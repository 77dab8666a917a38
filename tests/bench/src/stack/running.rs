//! A running stack.

use super::{
    process::{StackProcess, StackRole},
    route::RoutedServers,
};
use crate::meter::PostgresProbe;
use longhaul_tests::{Database, Postgres, RabbitMq, port::Port};
use tempfile::TempDir;

/// The kind of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum StackMode {
    /// `longhaul dev`: one process, SQLite.
    Embedded,
    /// API nodes and workers, Postgres and RabbitMQ.
    Distributed,
}

impl StackMode {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

/// A running stack. Fields are dropped in order: processes before the servers that they use.
pub struct BenchStack {
    /// The kind of the stack.
    pub mode: StackMode,
    /// Longhaul's own processes.
    pub processes: Vec<StackProcess>,
    /// The database, when it is Postgres.
    pub database: Option<Database>,
    /// A connection to Postgres that counts writes of the stack.
    pub probe: Option<PostgresProbe>,
    /// True when Postgres counts statements.
    pub profiled: bool,
    /// The private servers of this stack.
    pub servers: Option<StackServers>,
    /// Addresses of the servers, and proxies to them.
    pub(super) _routed: Option<RoutedServers>,
    /// Ports reserved until the stack ends.
    pub(super) _ports: Vec<Port>,
    /// The working folder of the processes, with the database in `data` when embedded.
    pub(super) _folder: TempDir,
}

/// The servers of a distributed stack.
pub struct StackServers {
    /// RabbitMQ.
    pub rabbit: RabbitMq,
    /// Postgres.
    pub postgres: Postgres,
}

impl BenchStack {
    /// Base URL of the first API node, `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.nodes().next().expect("a stack has a node").base
    }

    /// The processes that answer clients.
    pub fn nodes(&self) -> impl Iterator<Item = &StackProcess> {
        self.processes.iter().filter(|process| process.role != StackRole::Worker)
    }

    /// The processes that run tasks and answer no clients.
    pub fn workers(&self) -> impl Iterator<Item = &StackProcess> {
        self.processes.iter().filter(|process| process.role == StackRole::Worker)
    }

    /// Root processes of the stack and its servers: role and process id.
    pub fn roots(&self) -> Vec<(StackRole, u32)> {
        let mut roots: Vec<_> = self.processes.iter().map(|one| (one.role, one.pid())).collect();
        if let Some(servers) = &self.servers {
            roots.push((StackRole::Postgres, servers.postgres.pid()));
            roots.push((StackRole::RabbitMq, servers.rabbit.pid()));
        }
        roots
    }

    /// Base URLs for this number of connections: the nodes of the stack, in turn.
    pub fn node_urls(&self, connections: usize) -> Vec<String> {
        let nodes: Vec<_> = self.nodes().map(|node| node.base.clone()).collect();
        nodes.into_iter().cycle().take(connections).collect()
    }

    /// Versions and settings, for the head of the report.
    pub fn versions(&self) -> String {
        match &self.database {
            None => "embedded: SQLite, WAL, synchronous=FULL, one process".to_owned(),
            Some(database) => format!(
                "distributed: Postgres {}, synchronous_commit={}, fsync={}, RabbitMQ quorum queues with confirms, {} API node(s), {} worker(s)",
                database.sql("show server_version"),
                database.sql("show synchronous_commit"),
                database.sql("show fsync"),
                self.nodes().count(),
                self.workers().count(),
            ),
        }
    }
}
