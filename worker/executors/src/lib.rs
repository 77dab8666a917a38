//! The executors that come with Longhaul, chosen in `longhaul.toml`: [`echo`], [`script`] and [`process`].
//!
//! They use nothing but the SDK, like anybody's. What they have written when a worker crashes is in the record; the next attempt
//! replaces it, or continues it where a plugin asks for that.

pub mod echo;
pub mod process;
pub mod registry;
pub mod script;

pub use echo::Echo;
pub use process::{GUARD_COMMAND, PluginGuard, ProcessConfig, ProcessExecutor, guard_main};
pub use registry::{RegistryError, build};
pub use script::Script;
