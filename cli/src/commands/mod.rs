//! Commands that neither serve nor talk to a server.

pub mod config;
pub mod keys;
pub mod migrate;
pub mod version;
