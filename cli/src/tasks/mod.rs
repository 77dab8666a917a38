//! `longhaul tasks` and `longhaul agents`.
//!
//! A task does not depend on the command that sent it: if the command is interrupted, the task goes
//! on at the server, and the command prints how to find it again.

mod agents;
mod attachment;
mod attempt_notes;
mod durability;
mod log;
mod message;
pub mod output;
pub mod prompt;
mod query;
mod send;
mod short_id;
mod suggestion;

pub use agents::run as agents;
pub use suggestion::shell_quoted;

use crate::{args::TasksCommand, exit::CommandResult};

/// Runs the command.
pub async fn run(command: TasksCommand) -> CommandResult {
    match command {
        TasksCommand::Send(args) => send::send(*args).await,
        TasksCommand::Watch(args) => send::watch(args).await,
        TasksCommand::Get(args) => query::get(args).await,
        TasksCommand::List(args) => query::list(args).await,
        TasksCommand::Log(args) => log::run(args).await,
        TasksCommand::Cancel(args) => query::cancel(args).await,
    }
}
