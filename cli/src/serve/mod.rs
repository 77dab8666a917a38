//! `longhaul dev`, `api` and `worker`: commands that serve until a signal stops them.
//!
//! The first signal drains, the second stops at once. Work that hangs is abandoned after some
//! seconds; its leases expire, and other processes take it over. Killing the process at any moment
//! loses nothing that was acknowledged.

mod api;
mod banner;
pub mod container_init;
mod dev;
mod health;
mod open_files;
mod process;
mod worker;

pub use api::run as api;
pub use dev::run as dev;
pub use process::EXECUTOR_GRACE;
pub use worker::run as worker;
