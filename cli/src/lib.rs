//! The `longhaul` command, and the same as a library, for worker binaries with executors of their own.
//!
//! This is the only place where stores, dispatchers, executors, workers and API nodes are put together.

pub mod api_key;
pub mod args;
pub mod client;
mod commands;
pub mod exit;
mod print;
pub mod screen;
mod tasks;

use args::{Cli, Command};
use clap::Parser;
use exit::{Failure, Outcome};
use std::process::ExitCode;

/// Runs the `longhaul` command with the arguments and environment of this process.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => exit::report(run(cli.command)),
        Err(error) => misread(&error),
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Config(command) => commands::config::run(&command),
        Command::Tasks(command) => runtime()?.block_on(tasks::run(command)),
        Command::Version => commands::version::run(),
        _ => Ok(exit::Done::Ok),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))
}

/// Help that was asked for is a success, everything else is wrong usage.
fn misread(error: &clap::Error) -> ExitCode {
    // Without standard error nobody can be told.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
