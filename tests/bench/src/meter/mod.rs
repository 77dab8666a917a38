//! What a stack uses: CPU time of each group of processes, memory, and what Postgres writes.

pub mod cpu;
pub mod memory;
pub mod statements;
mod usage;
mod watch;

pub use usage::{Reading, Usage};
pub use watch::{SETTLING, Watch, Written};
