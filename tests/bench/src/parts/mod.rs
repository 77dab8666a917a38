//! The parts of the benchmark. Each starts its stacks, measures them, and returns figures.

mod artifacts;
mod floor;
mod history;
mod idle;
mod network;
mod open;
mod overload;
mod scaling;
mod streams;
mod subscribers;
mod tokens;
mod versions;
mod waiting;
mod wal;

use crate::{bench::Bench, figure::Figure, part::BenchPart};

/// Runs a part.
pub async fn run(part: BenchPart, bench: &Bench) -> Vec<Figure> {
    match part {
        BenchPart::Floor => floor::run(bench).await,
        BenchPart::Waiting => waiting::run(bench).await,
        BenchPart::Open => open::run(bench).await,
        BenchPart::Streams => streams::run(bench).await,
        BenchPart::Wal => wal::run(bench).await,
        BenchPart::Idle => idle::run(bench).await,
        BenchPart::Subscribers => subscribers::run(bench).await,
        BenchPart::Overload => overload::run(bench).await,
        BenchPart::History => history::run(bench).await,
        BenchPart::Artifacts => artifacts::run(bench).await,
        BenchPart::Tokens => tokens::run(bench).await,
        BenchPart::Network => network::run(bench).await,
        BenchPart::Scaling => scaling::run(bench).await,
        BenchPart::Versions => versions::run(bench).await,
    }
}
