//! The command line: what may be written, with help and examples for every command.
//!
//! Flags that stand for a setting become overrides of that setting, so that a flag, its variable and its key in the file
//! are checked by the same code.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help that people read in a terminal"
)]

mod card;
mod durability;
mod keys;
mod moment;
mod operator;
mod schedules;
mod server;
mod tasks;
#[cfg(test)]
mod tests;

pub use card::{
    CardCommand, CardKeyCommand, CardVersion, NewCardKey, ShowCard, ShowCardKey, SignCard,
    VerifyCard,
};
pub use durability::Durability;
pub use keys::{CreateKey, KeysCommand, ListKeys, RevokeKey, WhereKeys};
pub use moment::Moment;
pub use operator::{
    DeadCommand, DeadFilter, Deployment, DismissDead, LOCAL_OWNER, ListDead, ListQueues,
    ListWorkers, RedriveDead, ShowDead,
};
pub use schedules::{ListSchedules, Missed, OneSchedule, PutSchedule, ScheduleCommand};
pub use server::{ApiArgs, ConfigCommand, Configured, Database, DevArgs, MigrateArgs, WorkerArgs};
pub use tasks::{
    CancelTask, DEFAULT_URL, GetTask, ListAgents, ListTasks, LogTask, SendTask, Server,
    TasksCommand, WatchTask,
};

use clap::{Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "longhaul",
    about = "Runs agent tasks that must not be lost, over the A2A protocol",
    after_help = "Examples:
  longhaul dev                          everything in one process, data in ./longhaul-data
  longhaul tasks send 'hello'           send a task to it and watch it run
  longhaul dead list                    tasks that failed for good
  longhaul config check                 what the configuration says

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
With `longhaul tasks` also: 3 the task failed or was rejected, 4 it was canceled,
5 it waits for input or authorization, 130 interrupted.",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `longhaul` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: API, worker and SQLite
    Dev(DevArgs),
    /// Run an API node on Postgres
    Api(ApiArgs),
    /// Run a worker on Postgres
    Worker(WorkerArgs),
    /// Bring the database to the schema of this version
    Migrate(MigrateArgs),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show, sign and verify agent cards
    #[command(subcommand)]
    Card(CardCommand),
    /// Send tasks to a server and follow them
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Show the agents of a server
    Agents(ListAgents),
    /// Look after tasks that failed for good
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Make tasks by the clock
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Show what waits and what runs of every agent
    Queues(ListQueues),
    /// Show the workers of a deployment
    Workers(ListWorkers),
    /// Say which version this is
    Version,
}

impl Command {
    /// Whether it serves until it is told to stop.
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Dev(_) | Self::Api(_) | Self::Worker(_))
    }
}
