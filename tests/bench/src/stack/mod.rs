//! The stacks that are measured: everything in one process on SQLite, or API nodes and workers on Postgres and RabbitMQ.

mod plan;
mod process;
mod route;
mod start;

pub use plan::Plan;
pub use process::{Process, Role};
pub use route::Route;
pub use start::postgres;

use crate::meter::Watch;
use longhaul_tests::{Database, Postgres, RabbitMq, port::Port};
use route::Routed;
use tempfile::TempDir;

/// Which stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Mode {
    /// `longhaul dev`: one process, SQLite.
    Embedded,
    /// API nodes and workers, Postgres and RabbitMQ.
    Distributed,
}

impl Mode {
    /// For the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

/// A running stack. Fields are dropped in order: processes before the servers that they use.
pub struct Stack {
    /// Which one it is.
    pub mode: Mode,
    /// Longhaul's own processes.
    pub processes: Vec<Process>,
    /// The database, when it is Postgres.
    pub database: Option<Database>,
    /// A connection to it that counts what the stack writes.
    pub watch: Option<Watch>,
    /// Whether Postgres counts statements.
    pub profiled: bool,
    /// The servers that this stack alone uses.
    pub servers: Option<Servers>,
    /// The way to the servers.
    _routed: Option<Routed>,
    /// Reserved until the stack ends.
    _ports: Vec<Port>,
    /// The working folder of the processes; embedded, with the database's folder `data`.
    _folder: TempDir,
}

/// The servers of a distributed stack.
pub struct Servers {
    /// RabbitMQ.
    pub rabbit: RabbitMq,
    /// Postgres.
    pub postgres: Postgres,
}

impl Stack {
    /// `http://127.0.0.1:PORT` of the first API node.
    pub fn base(&self) -> &str {
        &self.nodes().next().expect("a stack has a node").base
    }

    /// The processes that answer clients.
    pub fn nodes(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.role != Role::Worker)
    }

    /// The processes that run tasks and answer no clients.
    pub fn workers(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.role == Role::Worker)
    }

    /// Every process whose tree makes up the stack, with its servers: role and process id.
    pub fn roots(&self) -> Vec<(Role, u32)> {
        let mut roots: Vec<_> = self.processes.iter().map(|one| (one.role, one.pid())).collect();
        if let Some(servers) = &self.servers {
            roots.push((Role::Postgres, servers.postgres.pid()));
            roots.push((Role::RabbitMq, servers.rabbit.pid()));
        }
        roots
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
