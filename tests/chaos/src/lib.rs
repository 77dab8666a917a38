//! The chaos suite: injects faults into a running Longhaul under load, and checks afterwards that
//! every promise was kept.
//!
//! Everything that a campaign starts ends with it, also when the campaign is killed. A campaign
//! ends by itself within a known bound. It signals only processes that it started.

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
mod inject;
mod journal;
mod options;
mod plan;
mod process_slot;
mod random;
mod records;
mod report;
mod scenario;
mod stack;

pub use options::{CampaignOptions, PlanOptions};
