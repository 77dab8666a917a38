//! Options of a campaign.

use std::{path::PathBuf, time::Duration};

/// Options of a campaign.
#[derive(Debug, Clone)]
pub struct CampaignOptions {
    /// The fault plan, which also sets seed and duration of the load.
    pub plan: PlanOptions,
    /// Tasks after which clients start no more.
    pub tasks: u64,
    /// Concurrent clients.
    pub clients: u64,
    /// Time for every task to end once all faults are over.
    pub quiesce: Duration,
    /// Folder in which a new folder keeps logs and journals; `None` removes them.
    pub keep: Option<PathBuf>,
}

/// Options of a fault plan.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Seed of the plan and of all scenarios.
    pub seed: u64,
    /// Time during which there are load and faults.
    pub duration: Duration,
    /// Mean time between two faults.
    pub every: Duration,
    /// Lease of the workers; long faults outlast it.
    pub lease: Duration,
    /// Names of the fault kinds to use; all of them when empty.
    pub only: Vec<String>,
}
