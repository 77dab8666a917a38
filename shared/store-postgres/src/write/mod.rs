//! The one way in which tasks that exist are changed.
//!
//! Three steps in one transaction: lock the rows of the batch in order ([`lock`]), decide in memory what becomes of each
//! task ([`task`] and the use cases), write everything with one statement ([`changes`]). The rows in memory are the newest
//! ones, because they were locked first; when the process dies in the middle, the transaction is rolled back whole.

pub mod changes;
pub mod checkpoints;
pub mod dead;
pub mod free;
pub mod lock;
pub mod task;

pub use changes::Changes;
pub use task::{LockedTask, Run, Stage};
