//! Names of the parts.

use clap::ValueEnum;

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchPart {
    /// Maximum of the machine itself: minimal SQL per task, the broker, SQLite, fsync.
    Floor,
    /// Blocking sends in a closed loop.
    Waiting,
    /// Blocking sends at a fixed arrival rate.
    Open,
    /// One stream of many chunks.
    Streams,
    /// Bytes of WAL per chunk, by the length of the stream.
    Wal,
    /// Cost of an idle stack.
    Idle,
    /// Many subscribers of one task on one node.
    Subscribers,
    /// More arrivals than can be served.
    Overload,
    /// Reads with millions of tasks, and of tasks with many events.
    History,
    /// Large artifacts of one task.
    Artifacts,
    /// Concurrent streams at the pace of a language model.
    Tokens,
    /// Other routes to Postgres and RabbitMQ: a unix socket, latency.
    Network,
    /// Other numbers of API nodes and workers.
    Scaling,
    /// Other versions of Postgres.
    Versions,
}

impl BenchPart {
    /// All parts in the order of their run: the floor first, because later parts refer to it.
    pub fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// The name on the command line and in reports.
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
}
