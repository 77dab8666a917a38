//! Run reports in the metadata of tasks.

use longhaul_domain::{Timestamp, extension::DURABILITY_EXTENSION};
use longhaul_wire::ReceivedTask;
use serde::Deserialize;

/// The run of a task, as a Longhaul server reports it to clients that ask: see
/// [`ClientBuilder::run_reports`](crate::ClientBuilder::run_reports).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReceivedRunReport {
    /// Agent that runs the task.
    pub agent: Option<String>,
    /// Number of the attempt; 0 before the first.
    pub attempt: Option<i64>,
    /// `queued`, `scheduled` or `running`; absent for a task that is parked or has ended.
    pub queue: Option<String>,
    /// Time since which, or at which, it may be claimed.
    pub run_at: Option<Timestamp>,
}

impl ReceivedRunReport {
    /// Reads the report of a task; empty if the server reports nothing.
    pub fn from_task(task: &ReceivedTask) -> Self {
        let report = task.metadata.as_ref().and_then(|metadata| metadata.get(DURABILITY_EXTENSION));
        // A member that cannot be read is not a report of this version.
        report.and_then(|report| report.to().ok()).unwrap_or_default()
    }
}
