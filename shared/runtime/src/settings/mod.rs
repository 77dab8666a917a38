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

pub use a2a::{A2aSettings, ExtendedCards, GrpcAddress};
pub use agent::{
    AgentSettings, ExecutorName, Extension, LimitSettings, ProcessMode, ProcessSettings,
    RetrySettings, Skill,
};
pub use environment::ignored_kubernetes_variables;
pub use error::{SettingOrigin, SettingsError};
pub use keys::{SettingKey, keys};
pub use load::{SettingOverride, SettingSources};
pub use object::SettingsTable;
pub use period::HumanDuration;
pub use sections::{
    AgentCardSettings, AmqpSettings, AuthMode, AuthSettings, DatabaseSettings, EmbeddedSettings,
    LogFormat, LogSettings, ServerSettings, Settings, WorkerSettings,
};
pub use validate::{RESERVED_AGENT_NAMES as RESERVED_NAMES, parse_network};
