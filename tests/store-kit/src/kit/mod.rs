//! Helpers of the cases: owners, messages, workers and runs in one line each.

mod client;
mod run_writer;
mod values;
mod wait;

pub use client::TestClient;
pub use run_writer::RunWriter;
pub use values::*;
pub use wait::{SeededRng, eventually, run_concurrently};

use longhaul_store::{ReapRequest, Store};
use std::{any::Any, sync::Arc, time::Duration};

/// A lease that does not end during a case.
pub const LONG_LEASE: Duration = Duration::from_secs(600);

/// A reap that tolerates losses, and leaves running tasks past their deadline alone.
pub const REAP_ALL: ReapRequest = ReapRequest { limit: 100, max_losses: 1_000, grace: LONG_LEASE };

/// A store for one case, and the resources that it needs.
pub struct Fixture {
    /// The store, migrated and empty.
    pub store: Arc<dyn Store>,
    /// Dropped after the case: a temporary folder or database.
    pub keep: Box<dyn Any + Send>,
}
