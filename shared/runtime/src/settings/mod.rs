//! The typed configuration, from `longhaul.toml`, environment variables and command-line flags.
//!
//! Flags override variables, variables the file, the file the defaults. Unknown keys and bad values
//! are errors that name the key, its origin and the allowed values. Settings are read once, at
//! start; a restarted process reads them again.
//!
//! To add a key, add a field with doc comment and default to `sections.rs` or `agent.rs`. The key
//! of the file, the variable `LONGHAUL_<SECTION>_<KEY>` and the entry in the list of keys follow
//! from it.

mod agent;
mod check;
mod describe;
mod error;
mod file;
mod load;
mod overrides;
mod schema;
mod sections;
#[cfg(test)]
mod tests;
mod validate;
mod validate_agents;
mod values;

pub use agent::{
    AgentSettings, ExecutorName, ExtensionSettings, LimitSettings, ProcessMode, ProcessSettings,
    RetrySettings, SkillSettings,
};
pub use check::RESERVED_AGENT_NAMES;
pub use describe::{SettingKey, keys};
pub use error::{SettingOrigin, SettingsError};
pub use load::SettingSources;
pub use overrides::{SettingOverride, ignored_kubernetes_variables};
pub use sections::{
    A2aSettings, AgentCardSettings, AmqpSettings, AuthMode, AuthSettings, DatabaseSettings,
    EmbeddedSettings, ExtendedCardMode, GrpcAddressFormat, LogFormat, LogSettings, ServerSettings,
    Settings, WorkerSettings,
};
pub use validate::parse_network;
pub use values::{HumanDuration, SettingsTable};
