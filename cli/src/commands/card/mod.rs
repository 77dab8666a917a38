//! `longhaul card`: cards of agents, their signatures, and the keys that make them.
//!
//! A file is written as a whole or not at all, and a key file is never written over.

mod key;
mod show;
mod sign;
mod source;
mod verify;
mod view;

use crate::{args::CardCommand, exit::Outcome};

/// Runs the command.
pub async fn run(command: CardCommand) -> Outcome {
    match command {
        CardCommand::Show(args) => show::run(args).await,
        CardCommand::Sign(args) => sign::run(&args),
        CardCommand::Verify(args) => verify::run(args).await,
        CardCommand::Key(command) => key::run(command),
    }
}
