//! The benchmark: starts the stack on this machine, drives it over loopback, checks every answer,
//! and prints figures.
//!
//! Everything is as durable as in production: Postgres with `synchronous_commit=on` and `fsync=on`,
//! quorum queues with confirms, SQLite with `synchronous=FULL`. A wrong answer ends the run,
//! because figures of a broken stack are worthless.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark lives outside the program: real time, real tasks, and each of them is waited for"
)]

mod bench;
mod figure;
mod http;
mod load;
mod machine;
mod message_ids;
mod meter;
mod open_files;
mod options;
mod part;
mod parts;
mod report;
mod stack;
mod stats;
mod usage;

use bench::Bench;
use clap::Parser;
use machine::Machine;
use options::BenchOptions;
use report::{Baseline, BenchReport};
use std::{fs, process::ExitCode};

fn main() -> ExitCode {
    match run(BenchOptions::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: BenchOptions) -> Result<(), String> {
    let baseline = options.baseline.as_deref().map(Baseline::read).transpose()?;
    // The harness's HTTP client needs a provider even without TLS. Installing fails only if there
    // is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the driver shares the cores with the stack, and waking further threads costs more
    // than they bring.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let machine = Machine::inspect();
    machine.print();
    let bench = Bench::new(options);
    let mut figures = Vec::new();
    for part in bench.options.parts() {
        let measured = runtime.block_on(parts::run(part, &bench));
        report::print(&measured);
        figures.extend(measured);
    }
    if let Some(path) = &bench.options.json {
        let stacks = bench.stacks();
        let report = BenchReport {
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
