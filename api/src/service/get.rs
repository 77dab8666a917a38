//! Get Task (A2A 3.1.3).

use super::{Answer, Caller, Result, Service};
use longhaul_domain::Task;
use longhaul_store::SnapshotOptions;
use longhaul_wire::GetRequest;

impl Service {
    /// The task as it is.
    pub async fn get(&self, caller: &Caller, request: GetRequest) -> Result<Answer<Task>> {
        let options = with_history(request.history_length);
        let Answer { mut answer, held } =
            self.snapshot_to_show(caller, &request.id, options).await?;
        let held = self.show_task(caller, &mut answer, held).await?;
        Ok(Answer { answer, held })
    }
}

/// A snapshot with as much history as was asked for (A2A 3.2.4).
pub fn with_history(length: Option<u32>) -> SnapshotOptions {
    let history = length.unwrap_or(SnapshotOptions::DEFAULT_HISTORY);
    SnapshotOptions { history, ..SnapshotOptions::ALL }
}
