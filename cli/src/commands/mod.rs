//! Administrative commands: configuration, keys, cards, migrations and the version.

pub mod card;
pub mod config;
pub mod keys;
pub mod migrate;
pub mod version;
