//! What the command line says.

use crate::{parts::Part, stack::Mode};
use clap::Parser;
use std::{path::PathBuf, time::Duration};

/// Starts the stack on this machine, drives it, checks every answer and prints figures.
#[derive(Debug, Clone, Parser)]
#[command(name = "tests/bench/run")]
pub struct Options {
    /// What to measure, in the order given; all of it unless said.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub parts: Vec<Part>,
    /// Which stacks to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Mode::Embedded, Mode::Distributed])]
    pub mode: Vec<Mode>,
    /// Connections of the closed loop.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    pub connections: Vec<usize>,
    /// Seconds to measure each row, after a warm-up of a fifth of that.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Arrivals a second of the open loop; half of the peak of the closed loop unless said.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Smaller sizes and shorter measurements: to see whether everything works, not to compare.
    #[arg(long)]
    pub quick: bool,
    /// Parked tasks with which an idle stack is measured.
    #[arg(long, default_value_t = 0)]
    pub parked: usize,
    /// Also print the statements of the store that took the most time, by Postgres' module `pg_stat_statements`.
    #[arg(long)]
    pub statements: bool,
    /// Further settings for every Longhaul process: `worker.concurrency=64`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also write the result to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also print how each value compares with the result in this file.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

impl Options {
    /// The parts to run.
    pub fn parts(&self) -> Vec<Part> {
        if self.parts.is_empty() { Part::all() } else { self.parts.clone() }
    }

    /// How long each row is measured.
    pub const fn measured(&self) -> Duration {
        let seconds = if self.quick && self.seconds > 3 { 3 } else { self.seconds };
        Duration::from_secs(seconds)
    }
}
