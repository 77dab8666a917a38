//! Workers: they claim runnable runs from the store, give them to executors, and write down what comes of it.
//!
//! Everything that a worker writes carries the fence of its claim, so one that lost its lease cannot write one more
//! byte. When a worker dies in the middle, its lease runs out and its runs are offered again, without counting an
//! attempt; what it had appended stays.
//!
//! Executors run on a Tokio runtime of their own: one that blocks its threads starves other executors, but neither the
//! heartbeat nor what other runs have to write.

mod availability;
mod claims;
mod control;
mod heartbeat;
mod options;
mod output;
mod reaper;
mod release;
mod run;
mod running;
mod settlement;
mod signals;
mod slots;
mod task_io;
mod terms;
#[cfg(test)]
mod testing;
mod why;
mod worker;

pub use availability::FailedStart;
pub use options::{StartError, WorkerOptions};
pub use run::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES};
pub use worker::Worker;
