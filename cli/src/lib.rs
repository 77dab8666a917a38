//! The `longhaul` command, and the library for binaries with their own executors: [`worker_main`],
//! [`dev_main`] and [`main_with`].
//!
//! This crate is the composition root: it alone puts stores, dispatchers, executors, workers and
//! API nodes together. A process that is killed leaves nothing to clean up here; what it held is in
//! the store.

pub mod api_key;
pub mod args;
mod client;
mod commands;
pub mod exit;
mod operator;
mod print;
pub mod screen;
mod serve;
mod table;
mod tasks;
mod wiring;

use args::{Cli, Command, DevArgs, WorkerArgs};
use clap::{Parser, error::ErrorKind};
use exit::{CommandError, CommandResult};
use longhaul_executor::Executor;
pub use longhaul_executors::ExecutorRegistry;
use std::{process::ExitCode, sync::Arc};

/// Runs the `longhaul` command with the arguments and environment of this process.
pub fn main() -> ExitCode {
    main_with(ExecutorRegistry::new())
}

/// Runs the `longhaul` command for a program that registers executors, which its settings may then
/// name.
///
/// ```no_run
/// # use longhaul_executor::prelude::*;
/// # struct Shout(ExecutorDescriptor);
/// # #[async_trait::async_trait]
/// # impl Executor for Shout {
/// #     fn descriptor(&self) -> ExecutorDescriptor { self.0.clone() }
/// #     async fn execute(&self, _: TaskContext) -> Result<Outcome, ExecutorError> { Ok(Outcome::Completed(None)) }
/// # }
/// use longhaul_cli::ExecutorRegistry;
/// use std::{convert::Infallible, process::ExitCode};
///
/// fn main() -> ExitCode {
///     // For agents with `executor = "shout"` in longhaul.toml.
///     let shout = |descriptor| Ok::<_, Infallible>(Shout(descriptor));
///     longhaul_cli::main_with(ExecutorRegistry::new().register("shout", shout))
/// }
/// ```
#[expect(
    clippy::needless_pass_by_value,
    reason = "a program builds one registry and hands it over"
)]
pub fn main_with(registry: ExecutorRegistry) -> ExitCode {
    // The guard's arguments are not part of the command line, so this comes before clap.
    if let Some(code) = run_hidden_command() {
        return code;
    }
    install_tls();
    match Cli::try_parse() {
        // Only serving commands start plugins, whose orphans must be reaped.
        Ok(cli) if cli.command.serves() && serve::container_init::is_first_process() => {
            serve::container_init::run()
        }
        Ok(cli) => exit::report(run(cli.command, &registry)),
        // `--version` prints what `longhaul version` prints: more than a number.
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            exit::report(commands::version::run())
        }
        Err(error) => exit_with_clap(&error),
    }
}

/// Runs the plugin guard, for which this binary starts itself: see
/// [`longhaul_executors::guard_main`].
fn run_hidden_command() -> Option<ExitCode> {
    let command = std::env::args_os().nth(1)?;
    (command == longhaul_executors::GUARD_COMMAND).then(longhaul_executors::guard_main)
}

/// The command line of a worker binary.
#[derive(Debug, Parser)]
#[command(about = "Runs tasks of a Longhaul deployment")]
struct WorkerCli {
    #[command(flatten)]
    args: WorkerArgs,
}

/// The `main` of a worker binary with its own executors. Flags, settings and environment are those
/// of `longhaul worker`; the configured executors run too.
///
/// ```no_run
/// # use longhaul_executor::prelude::*;
/// # struct Shout;
/// # #[async_trait::async_trait]
/// # impl Executor for Shout {
/// #     fn descriptor(&self) -> ExecutorDescriptor {
/// #         ExecutorDescriptor::text("mine", "1.0.0", "Mine").expect("a valid name")
/// #     }
/// #     async fn execute(&self, _: TaskContext) -> Result<Outcome, ExecutorError> { Ok(Outcome::Completed(None)) }
/// # }
/// use std::{process::ExitCode, sync::Arc};
///
/// fn main() -> ExitCode {
///     longhaul_cli::worker_main([Arc::new(Shout) as Arc<dyn Executor>])
/// }
/// ```
pub fn worker_main(executors: impl IntoIterator<Item = Arc<dyn Executor>>) -> ExitCode {
    let registry = ExecutorRegistry::new();
    serving_main(|cli: &WorkerCli| {
        serve::worker(&cli.args, &registry, executors.into_iter().collect())
    })
}

/// The command line of a development server.
#[derive(Debug, Parser)]
#[command(about = "Runs tasks and answers clients, in one process and without a database server")]
struct DevCli {
    #[command(flatten)]
    args: DevArgs,
}

/// The `main` of a development server with its own executors, on SQLite. Flags, settings and
/// environment are those of `longhaul dev`; the configured agents run too. The first executor is
/// the default agent. A program may offer both:
///
/// ```no_run
/// # use longhaul_executor::Executor;
/// # use std::{process::ExitCode, sync::Arc};
/// # fn executors() -> Vec<Arc<dyn Executor>> { Vec::new() }
/// fn main() -> ExitCode {
///     if std::env::var_os("LONGHAUL_DATABASE_URL").is_some() {
///         longhaul_cli::worker_main(executors())
///     } else {
///         longhaul_cli::dev_main(executors())
///     }
/// }
/// ```
pub fn dev_main(executors: impl IntoIterator<Item = Arc<dyn Executor>>) -> ExitCode {
    let registry = ExecutorRegistry::new();
    serving_main(|cli: &DevCli| serve::dev(&cli.args, &registry, executors.into_iter().collect()))
}

fn serving_main<C: Parser>(serve: impl FnOnce(&C) -> CommandResult) -> ExitCode {
    if let Some(code) = run_hidden_command() {
        return code;
    }
    install_tls();
    match C::try_parse() {
        Ok(_) if serve::container_init::is_first_process() => serve::container_init::run(),
        Ok(cli) => exit::report(serve(&cli)),
        Err(error) => exit_with_clap(&error),
    }
}

/// Installs the cryptography of all TLS connections of this process.
fn install_tls() {
    // A provider that the program has installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn run(command: Command, registry: &ExecutorRegistry) -> CommandResult {
    match command {
        Command::Dev(args) => serve::dev(&args, registry, Vec::new()),
        Command::Api(args) => serve::api(&args, registry),
        Command::Worker(args) => serve::worker(&args, registry, Vec::new()),
        Command::Migrate(args) => block_on(commands::migrate::run(args, registry)),
        Command::Config(command) => commands::config::run(&command, registry),
        Command::Keys(command) => block_on(commands::keys::run(command, registry)),
        Command::Card(command) => block_on(commands::card::run(command)),
        Command::Tasks(command) => block_on(tasks::run(command)),
        Command::Agents(args) => block_on(tasks::agents(args)),
        Command::Dead(command) => block_on(operator::dead(command)),
        Command::Schedule(command) => block_on(operator::schedule(command)),
        Command::Queues(args) => block_on(operator::queues(args)),
        Command::Workers(args) => block_on(operator::workers(args)),
        Command::Version => commands::version::run(),
    }
}

/// Runs a command to its end. A pending read of the terminal does not delay the exit.
fn block_on(command: impl Future<Output = CommandResult>) -> CommandResult {
    let runtime = runtime()?;
    let outcome = runtime.block_on(command);
    // Dropping the runtime would wait for a pending read of the terminal.
    runtime.shutdown_background();
    outcome
}

fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed(format!("the runtime cannot start: {error}")))
}

/// Prints help or a usage error. Requested help exits with 0, an error with 2.
fn exit_with_clap(error: &clap::Error) -> ExitCode {
    // The exit code tells the error even if standard error is closed.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
