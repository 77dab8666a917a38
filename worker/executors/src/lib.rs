//! The executors that come with Longhaul, named in `longhaul.toml`: [`demo`], [`echo`] and
//! [`process`]; and the [`registry`], to which a program adds its own.
//!
//! They use nothing but the SDK, like any plugin. What a run has written when its worker crashes is
//! in the record; the next attempt replaces it, or continues it where a plugin asks for that.

pub mod demo;
pub mod echo;
pub mod process;
pub mod registry;

pub use demo::Demo;
pub use echo::Echo;
pub use process::{GUARD_COMMAND, PluginGuard, ProcessConfig, ProcessExecutor, guard_main};
pub use registry::{ExecutorRegistry, RegistryError};
