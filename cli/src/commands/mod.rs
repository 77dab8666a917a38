//! Commands that neither serve nor run tasks.

pub mod card;
pub mod config;
pub mod keys;
pub mod migrate;
pub mod version;
