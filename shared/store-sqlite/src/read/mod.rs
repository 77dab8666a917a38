//! Reads: each function works within one snapshot of the data.

pub mod list;
pub mod log;
pub mod task;
