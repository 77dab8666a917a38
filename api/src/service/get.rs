//! Get Task (A2A 3.1.3).

use super::{Budgeted, Caller, Result, Service};
use longhaul_domain::Task;
use longhaul_store::SnapshotOptions;
use longhaul_wire::GetRequest;

impl Service {
    /// The task as it is.
    pub async fn get(&self, caller: &Caller, request: GetRequest) -> Result<Budgeted<Task>> {
        let options = with_history(request.history_length);
        let Budgeted { mut value, permit } =
            self.budgeted_snapshot(caller, &request.id, options).await?;
        let permit = self.show_task(caller, &mut value, permit).await?;
        Ok(Budgeted { value, permit })
    }
}

/// Snapshot options with as much history as was asked for (A2A 3.2.4).
pub fn with_history(length: Option<u32>) -> SnapshotOptions {
    let history = length.unwrap_or(SnapshotOptions::DEFAULT_HISTORY);
    SnapshotOptions { history, ..SnapshotOptions::ALL }
}
