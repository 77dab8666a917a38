//! One typed configuration, from `longhaul.toml`, the environment and the command line.
//!
//! A flag wins over a variable, a variable over the file, the file over the default. Nothing is guessed: an unknown key and
//! a bad value are errors that name the key, where it was set and what is allowed. Settings are read once, at start; a
//! process that crashes reads them again.
//!
//! Adding a key: one field with its doc comment and default in `sections.rs` or `agent.rs`; the file key, the variable
//! `LONGHAUL_<SECTION>_<KEY>`, the key list and the documentation of it follow.

mod a2a;
mod agent;
mod describe;
mod environment;
mod error;
mod file;
mod keys;
mod kind;
mod load;
mod object;
mod period;
mod schema;
mod sections;
#[cfg(test)]
mod tests;
mod validate;

pub use a2a::{A2a, ExtendedCards, GrpcAddress};
pub use agent::{Agent, ExecutorKind, Extension, Limits, Process, ProcessMode, Retry, Skill};
pub use environment::kubernetes_variables;
pub use error::{Origin, SettingsError};
pub use keys::{KeyInfo, keys};
pub use load::{Override, Sources};
pub use object::Object;
pub use period::Period;
pub use sections::{
    Amqp, Auth, AuthMode, Cards, Database, Embedded, Log, LogFormat, Server, Settings, Worker,
};
pub use validate::{RESERVED as RESERVED_NAMES, read_network};
