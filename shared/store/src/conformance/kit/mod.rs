//! What the cases share: owners, messages, workers and runs, made in one line each.

mod run;
mod scene;
mod values;
mod wait;

pub use run::Run;
pub use scene::Scene;
pub use values::*;
pub use wait::{Dice, at_once, eventually};

use crate::{ReapRequest, Store};
use std::{any::Any, sync::Arc, time::Duration};

/// A lease that does not end while a case runs.
pub const LONG: Duration = Duration::from_secs(600);

/// A look for what is overdue that finds no fault with losses and leaves running tasks past their deadline alone.
pub const REAP: ReapRequest = ReapRequest { limit: 100, max_losses: 1_000, grace: LONG };

/// A store of its own for one case, and what must live as long as it.
pub struct Fixture {
    /// The store, migrated and empty.
    pub store: Arc<dyn Store>,
    /// Dropped after the case: a temporary folder or database.
    pub keep: Box<dyn Any + Send>,
}
