//! Get Task (A2A 3.1.3).

use super::{Caller, Result, Service};
use longhaul_domain::Task;
use longhaul_store::SnapshotOptions;
use longhaul_wire::GetRequest;

impl Service {
    /// The task as it is.
    pub async fn get(&self, caller: &Caller, request: GetRequest) -> Result<Task> {
        let options = with_history(request.history_length);
        let mut task = self.snapshot(caller, &request.id, options).await?;
        self.show_task(caller, &mut task).await?;
        Ok(task)
    }
}

/// A snapshot with as much history as was asked for (A2A 3.2.4).
pub fn with_history(length: Option<u32>) -> SnapshotOptions {
    let history = length.unwrap_or(SnapshotOptions::DEFAULT_HISTORY);
    SnapshotOptions { history, ..SnapshotOptions::ALL }
}
