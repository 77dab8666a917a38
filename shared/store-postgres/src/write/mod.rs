//! The locking path by which existing tasks change.
//!
//! One transaction of three steps: lock the rows of the batch in order ([`lock`]), decide in memory
//! what becomes of each task ([`task`] and the use cases), write all changes with one statement
//! ([`changes`]). Rows are read after they are locked, so they are current. A crash in the middle
//! rolls back everything.

pub mod changes;
pub mod checkpoints;
pub mod concurrency_keys;
pub mod lock;
pub mod task;

pub use changes::Changes;
pub use task::{LockedTask, RunRow, RunStage};
