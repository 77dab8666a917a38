//! The command line: commands and flags, with help and examples for each.
//!
//! A flag that stands for a setting becomes an override of that setting, so the same code checks
//! the flag, its environment variable and its key in the file.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help that people read in a terminal"
)]

mod card;
mod durability;
mod keys;
mod operator;
mod schedules;
mod server;
mod tasks;
#[cfg(test)]
mod tests;
mod time;

pub use card::{
    CardCommand, CardKeyCommand, CardVersionArg, NewCardKeyArgs, ShowCardArgs, ShowCardKeyArgs,
    SignCardArgs, VerifyCardArgs,
};
pub use durability::DurabilityArgs;
pub use keys::{CreateKeyArgs, KeyDatabaseArgs, KeysCommand, ListKeysArgs, RevokeKeyArgs};
pub use operator::{
    DeadCommand, DeadFilterArgs, DeploymentArgs, DismissDeadArgs, LOCAL_OWNER, ListDeadArgs,
    ListQueuesArgs, ListWorkersArgs, RedriveDeadArgs, ShowDeadArgs,
};
pub use schedules::{
    ListSchedulesArgs, MissedFiringsArg, PutScheduleArgs, ScheduleCommand, ScheduleNameArgs,
};
pub use server::{
    ApiArgs, ConfigArgs, ConfigCommand, DatabaseArgs, DevArgs, MigrateArgs, WorkerArgs,
};
pub use tasks::{
    CancelTaskArgs, DEFAULT_URL, GetTaskArgs, ListAgentsArgs, ListTasksArgs, SendTaskArgs,
    ServerArgs, TaskLogArgs, TasksCommand, WatchTaskArgs,
};
pub use time::TimeArg;

use clap::{Parser, Subcommand};

/// The command line.
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
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command of `longhaul`.
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
    Agents(ListAgentsArgs),
    /// Handle tasks that failed for good
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Manage schedules that make tasks
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Show the queue of each agent
    Queues(ListQueuesArgs),
    /// Show the workers of a deployment
    Workers(ListWorkersArgs),
    /// Print the version
    Version,
}

impl Command {
    /// Returns true for commands that serve until a signal stops them.
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Dev(_) | Self::Api(_) | Self::Worker(_))
    }
}
