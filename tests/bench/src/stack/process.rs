//! Processes of a stack, and their roles.

use longhaul_tests::TestProcess;

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StackRole {
    /// `longhaul dev`: everything.
    Dev,
    /// `longhaul api`: answers clients.
    Api,
    /// `longhaul worker`: runs tasks.
    Worker,
    /// The private Postgres with its backends.
    Postgres,
    /// The private RabbitMQ.
    RabbitMq,
    /// This process, which drives the stack.
    Driver,
}

impl StackRole {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Postgres => "postgres",
            Self::RabbitMq => "rabbitmq",
            Self::Driver => "driver",
        }
    }
}

/// One of Longhaul's own processes.
pub struct StackProcess {
    /// The role.
    pub role: StackRole,
    /// The name, as in `api 1`, `worker 2` or `dev`.
    pub name: String,
    /// Base URL of the API, or of a worker's health: `http://127.0.0.1:PORT`.
    pub base: String,
    /// The role in Postgres; unique per process, so that its statements can be told from others.
    pub user: String,
    /// The running process.
    pub running: TestProcess,
}

impl StackProcess {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}
