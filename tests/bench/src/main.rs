//! The benchmark: starts the stack on this machine, drives it over loopback, checks every answer, and prints figures.
//!
//! Everything is durable as in production: Postgres with `synchronous_commit=on` and `fsync=on`, quorum queues with confirms,
//! SQLite with `synchronous=FULL`. A wrong answer ends the run: figures of a broken stack are worth nothing.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark lives outside the program: real time, real tasks, and each of them is waited for"
)]

mod bench;
mod figure;
mod http;
mod load;
mod machine;
mod meter;
mod options;
mod parts;
mod report;
mod stack;
mod stats;

use bench::Bench;
use clap::Parser;
use machine::Machine;
use options::Options;
use report::{Baseline, Report};
use std::{fs, process::ExitCode};

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let baseline = options.baseline.as_deref().map(Baseline::read).transpose()?;
    // The HTTP client of the harness wants a provider even where no TLS is spoken. A second one would be refused; there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the driver shares the cores with the stack, and threads that wake each other cost it more than they bring.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let machine = Machine::look();
    machine.print();
    let bench = Bench::new(options);
    let mut figures = Vec::new();
    for part in bench.options.parts() {
        let found = runtime.block_on(part.run(&bench));
        report::print(&found);
        figures.extend(found);
    }
    if let Some(path) = &bench.options.json {
        let stacks = bench.stacks();
        let report = Report {
            machine: &machine,
            options: &bench.options,
            stacks: &stacks,
            figures: &figures,
        };
        fs::write(path, report.json()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(baseline) = baseline {
        baseline.print(&figures);
    }
    Ok(())
}
