//! Reads: each function works within one snapshot of the data.

pub mod budget;
pub mod facts;
pub mod history;
pub mod list;
pub mod log;
pub mod operate;
pub mod task;
