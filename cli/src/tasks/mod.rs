//! `longhaul tasks`: the client side.
//!
//! Whatever happens here, the task goes on at the server; a command that was interrupted says how to find it again.

mod agents;
pub mod ask;
mod attempts;
mod hint;
mod log;
mod query;
mod resolve;
mod send;
pub mod view;

pub use agents::run as agents;
pub use hint::quoted;

use crate::{
    args::TasksCommand,
    client::ClientError,
    exit::{Failure, Outcome},
};

/// Runs the command.
pub async fn run(command: TasksCommand) -> Outcome {
    match command {
        TasksCommand::Send(args) => send::send(*args).await,
        TasksCommand::Watch(args) => send::watch(args).await,
        TasksCommand::Get(args) => query::get(args).await,
        TasksCommand::List(args) => query::list(args).await,
        TasksCommand::Log(args) => log::run(args).await,
        TasksCommand::Cancel(args) => query::cancel(args).await,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::failed(error.to_string())
    }
}
