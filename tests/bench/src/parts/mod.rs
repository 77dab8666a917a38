//! The parts of the benchmark. Each starts the stacks that it needs, measures, and gives its figures.

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

use crate::{bench::Bench, figure::Figure};
use clap::ValueEnum;

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// What the machine can do at most: the smallest SQL for a task, the broker, SQLite, fsync.
    Floor,
    /// Waiting sends in a closed loop.
    Waiting,
    /// Waiting sends at a fixed arrival rate.
    Open,
    /// One stream of many chunks.
    Streams,
    /// Bytes of WAL for each chunk, by the length of the stream.
    Wal,
    /// What a stack costs that has nothing to do.
    Idle,
    /// Many subscribers of one task on one node.
    Subscribers,
    /// More arrivals than can be served.
    Overload,
    /// Reading with millions of tasks, and a task of many events.
    History,
    /// Large artifacts through one task.
    Artifacts,
    /// Many streams at once, each at the pace of a language model.
    Tokens,
    /// Other ways to Postgres and RabbitMQ: a unix socket, latency.
    Network,
    /// Other numbers of API nodes and workers.
    Scaling,
    /// Other versions of Postgres.
    Versions,
}

impl Part {
    /// All of them, in the order in which they run: the floor first, as what follows is compared with it.
    pub fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Its name on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Waiting => "waiting",
            Self::Open => "open",
            Self::Streams => "streams",
            Self::Wal => "wal",
            Self::Idle => "idle",
            Self::Subscribers => "subscribers",
            Self::Overload => "overload",
            Self::History => "history",
            Self::Artifacts => "artifacts",
            Self::Tokens => "tokens",
            Self::Network => "network",
            Self::Scaling => "scaling",
            Self::Versions => "versions",
        }
    }

    /// Measures it.
    pub async fn run(self, bench: &Bench) -> Vec<Figure> {
        match self {
            Self::Floor => floor::run(bench).await,
            Self::Waiting => waiting::run(bench).await,
            Self::Open => open::run(bench).await,
            Self::Streams => streams::run(bench).await,
            Self::Wal => wal::run(bench).await,
            Self::Idle => idle::run(bench).await,
            Self::Subscribers => subscribers::run(bench).await,
            Self::Overload => overload::run(bench).await,
            Self::History => history::run(bench).await,
            Self::Artifacts => artifacts::run(bench).await,
            Self::Tokens => tokens::run(bench).await,
            Self::Network => network::run(bench).await,
            Self::Scaling => scaling::run(bench).await,
            Self::Versions => versions::run(bench).await,
        }
    }
}
