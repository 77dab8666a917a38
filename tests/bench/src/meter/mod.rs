//! Meters: CPU time and memory of processes, and writes of Postgres.

pub mod cpu;
pub mod memory;
mod postgres_probe;
pub mod statements;

pub use postgres_probe::{PostgresProbe, STATS_DELAY, WriteCounters};
