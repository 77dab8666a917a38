//! The floor: the maximum of this machine without Longhaul, to which later parts refer.
//!
//! It measures minimal SQL for a durable task (accepted, claimed, ended), a message through the
//! broker, a commit of SQLite, and a synced write to the disk.

mod amqp;
mod disk;
mod postgres;
mod row;
mod sqlite;

use crate::{bench::Bench, figure::Figure, stack::StackMode};

/// Measures the disk and the servers of each stack.
pub async fn run(bench: &Bench) -> Vec<Figure> {
    let time = bench.row_duration() / 4;
    let mut figures = disk::run(time);
    if bench.wants(StackMode::Embedded) {
        figures.extend(sqlite::run(bench, time));
    }
    if bench.wants(StackMode::Distributed) {
        figures.extend(postgres::run(bench, time).await);
        figures.extend(amqp::run(time).await);
    }
    figures
}
