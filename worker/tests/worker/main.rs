//! In-process workers on a real store.

#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

mod cancel;
mod drain;
mod fixture;
mod history;
mod outage;
mod partitioned_store;
mod retries;
mod slots;
mod starts;
