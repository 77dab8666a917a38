//! Commands that neither serve nor talk to a server.

pub mod config;
pub mod version;
