//! Commands that serve until they are told to stop.
//!
//! The first signal drains, the second one stops at once; whatever hangs then is left behind after some seconds, and what
//! it held is taken over by others. Killing the process at any moment loses nothing that was acknowledged.

mod api;
mod banner;
mod dev;
mod health;
pub mod init;
mod open_files;
mod process;
mod worker;

pub use api::run as api;
pub use dev::run as dev;
pub use process::GRACE;
pub use worker::run as worker;
