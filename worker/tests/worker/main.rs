//! Whole workers on a real store, in process.

#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

mod cancel;
mod drain;
mod history;
mod outage;
mod retries;
mod scene;
mod slots;
mod starts;
mod veil;
