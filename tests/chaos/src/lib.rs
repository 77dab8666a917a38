//! The chaos suite: breaks a running Longhaul in every way it can, and checks afterwards that every promise was kept.
//!
//! Guarantee: what a run starts ends with it, its own death included; it ends by itself, within a bound known beforehand; and
//! it signals nothing that it did not start.

#![expect(
    clippy::disallowed_methods,
    reason = "a test suite lives outside the program: real time, real tasks"
)]

pub mod campaign;
mod check;
mod client;
mod collect;
pub mod executor;
mod figures;
mod fold;
mod journal;
mod kind;
mod place;
mod plan;
mod random;
mod records;
mod report;
mod stack;
mod strike;

pub use plan::Rules;
