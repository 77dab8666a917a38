//! `longhaul card`: agent cards, their signatures and keys.
//!
//! A file is written as a whole or not at all, and a key file is never overwritten.

mod key;
mod show;
mod sign;
mod source;
mod verify;
mod view;

use crate::{args::CardCommand, exit::CommandResult};

/// Runs the command.
pub async fn run(command: CardCommand) -> CommandResult {
    match command {
        CardCommand::Show(args) => show::run(args).await,
        CardCommand::Sign(args) => sign::run(&args),
        CardCommand::Verify(args) => verify::run(args).await,
        CardCommand::Key(command) => key::run(command),
    }
}
