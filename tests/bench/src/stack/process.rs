//! A process of a stack and what it does.

use longhaul_tests::Longhaul;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
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
    /// This process: it drives the stack.
    Driver,
}

impl Role {
    /// For the table.
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
pub struct Process {
    /// What it does.
    pub role: Role,
    /// `api 1`, `worker 2`, `dev`.
    pub name: String,
    /// `http://127.0.0.1:PORT`: of its API, or of a worker's health.
    pub base: String,
    /// The role with which it connects to Postgres: each process has one of its own, so that its statements can be told from
    /// those of the others.
    pub user: String,
    /// The process: to be stopped, frozen or killed.
    pub running: Longhaul,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}
