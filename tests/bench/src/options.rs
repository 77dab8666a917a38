//! Options of the command line.

use crate::{part::BenchPart, stack::StackMode};
use clap::Parser;
use std::{path::PathBuf, time::Duration};

/// Starts the stack on this machine, drives it, checks every answer and prints figures.
#[derive(Debug, Clone, Parser)]
#[command(name = "tests/bench/run")]
pub struct BenchOptions {
    /// Parts to run, in this order; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub parts: Vec<BenchPart>,
    /// Stacks to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [StackMode::Embedded, StackMode::Distributed])]
    pub mode: Vec<StackMode>,
    /// Connections of the closed loop.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    pub connections: Vec<usize>,
    /// Seconds to measure each row, after a warm-up of a fifth of that.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Arrivals per second of the open loop; by default half the peak of the closed loop.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Smaller sizes and shorter measurements, for a check that everything works.
    #[arg(long)]
    pub quick: bool,
    /// Parked tasks of an idle stack.
    #[arg(long, default_value_t = 0)]
    pub parked: usize,
    /// Also print the slowest statements of the store, by Postgres' module `pg_stat_statements`.
    #[arg(long)]
    pub statements: bool,
    /// Further settings for every Longhaul process: `worker.concurrency=64`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also write the result to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also compare each value with the result in this file.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

impl BenchOptions {
    /// The parts to run.
    pub fn parts(&self) -> Vec<BenchPart> {
        if self.parts.is_empty() { BenchPart::all() } else { self.parts.clone() }
    }

    /// Measured time of each row.
    pub const fn row_duration(&self) -> Duration {
        let seconds = if self.quick && self.seconds > 3 { 3 } else { self.seconds };
        Duration::from_secs(seconds)
    }
}
