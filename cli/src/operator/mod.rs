//! `longhaul dead`, `schedule`, `queues` and `workers`: the commands of operators.
//!
//! These commands keep no state. One that is interrupted has done what it has printed, and perhaps
//! one more thing.

mod dead_letters;
mod queues;
mod redrive;
mod schedules;
#[cfg(test)]
mod tests;

pub use queues::{queues, workers};
pub use schedules::run as schedule;

use crate::{args::DeadCommand, exit::CommandResult};

/// `longhaul dead`.
pub async fn dead(command: DeadCommand) -> CommandResult {
    match command {
        DeadCommand::List(args) => dead_letters::list(args).await,
        DeadCommand::Show(args) => dead_letters::show(args).await,
        DeadCommand::Redrive(args) => redrive::redrive(args).await,
        DeadCommand::Dismiss(args) => redrive::dismiss(args).await,
    }
}
