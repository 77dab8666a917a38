//! `longhaul dead`, `schedule`, `queues` and `workers`: a deployment, as its operator sees it.
//!
//! These commands hold nothing. One that was interrupted has done what it has printed, and perhaps one thing more.

mod dead;
mod fleet;
mod letter;
pub mod look;
mod redrive;
mod schedules;
#[cfg(test)]
mod tests;

pub use fleet::{queues, workers};
pub use schedules::run as schedule;

use crate::{args::DeadCommand, exit::Outcome};

/// `longhaul dead`.
pub async fn dead(command: DeadCommand) -> Outcome {
    match command {
        DeadCommand::List(args) => dead::list(args).await,
        DeadCommand::Show(args) => dead::show(args).await,
        DeadCommand::Redrive(args) => redrive::redrive(args).await,
        DeadCommand::Dismiss(args) => redrive::dismiss(args).await,
    }
}
