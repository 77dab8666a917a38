//! Workers: they claim runnable runs from the store, execute them, and settle the outcome.
//!
//! Every write of a worker carries the fence of its claim, so a worker that lost its lease cannot
//! write one more byte. When a worker dies midway, its lease expires and its runs are offered again
//! without counting an attempt; output appended before stays.
//!
//! Executors run on a Tokio runtime of their own. One that blocks its threads starves other
//! executors, but neither the heartbeat nor the writes of other runs.

mod active_runs;
mod availability;
mod background;
mod claim_loop;
mod control_signals;
mod drain;
mod heartbeat;
mod options;
mod output;
mod reaper;
mod run;
mod run_signals;
mod settlement;
mod slots;
#[cfg(test)]
mod testing;
mod worker;

pub use availability::FailedStart;
pub use options::{StartError, WorkerOptions};
pub use run::{MAX_HISTORY_BYTES, MAX_HISTORY_MESSAGES};
pub use worker::Worker;
