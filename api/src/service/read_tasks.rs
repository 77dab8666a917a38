//! Get Task and List Tasks (A2A 3.1.3, 3.1.4).

use super::{
    Budgeted, Caller, Result, Service, page_token,
    response_size::{history_per_task, page_too_large},
};
use longhaul_domain::Task;
use longhaul_store::{ListQuery, SnapshotOptions, StoreError};
use longhaul_wire::{GetRequest, ListRequest, ProtocolError, TaskPage};

impl Service {
    /// The task as it is.
    pub async fn get(&self, caller: &Caller, request: GetRequest) -> Result<Budgeted<Task>> {
        let options = with_history(request.history_length);
        let Budgeted { mut value, permit } =
            self.budgeted_snapshot(caller, &request.id, options).await?;
        let permit = self.show_task(caller, &mut value, permit).await?;
        Ok(Budgeted { value, permit })
    }

    /// One page of the caller's tasks.
    pub async fn list(&self, caller: &Caller, request: ListRequest) -> Result<Budgeted<TaskPage>> {
        let page_size = request.page_size_or_default();
        let history = request.history_length.unwrap_or(SnapshotOptions::DEFAULT_HISTORY);
        let mut query = ListQuery {
            owner: caller.principal.owner,
            agent: caller.agent.clone(),
            context: request.context_id,
            state: request.status,
            status_from: request.status_timestamp_after,
            after: None,
            page_size,
            options: SnapshotOptions {
                artifacts: request.include_artifacts,
                history: history_per_task(history, page_size),
                ..SnapshotOptions::ALL
            },
        };
        if let Some(token) = request.page_token.filter(|token| !token.is_empty()) {
            let cursor = page_token::read(&query, &token);
            query.after = Some(cursor.ok_or_else(|| {
                ProtocolError::invalid(
                    "pageToken",
                    "is not a token of this list; use the nextPageToken of its previous page with the same filter",
                )
            })?);
        }
        let read = |budget| {
            let options = SnapshotOptions { budget, ..query.options };
            self.store.list_tasks(ListQuery { options, ..query.clone() })
        };
        let (page, permit) = self.read_within_budget(read).await?;
        let mut page = page.map_err(|error| match error {
            StoreError::TooLarge { .. } => page_too_large(self.options.max_answer_bytes),
            error => caller.failed(&error),
        })?;
        let permit = self.show_page(caller, &mut page.tasks, permit).await?;
        let value = TaskPage {
            tasks: page.tasks,
            next_page_token: page
                .next
                .map(|cursor| page_token::write(&query, &cursor))
                .unwrap_or_default(),
            page_size,
            total_size: u32::try_from(page.total).unwrap_or(u32::MAX),
            include_artifacts: request.include_artifacts,
        };
        Ok(Budgeted { value, permit })
    }
}

/// Snapshot options with as much history as was asked for (A2A 3.2.4).
pub fn with_history(length: Option<u32>) -> SnapshotOptions {
    let history = length.unwrap_or(SnapshotOptions::DEFAULT_HISTORY);
    SnapshotOptions { history, ..SnapshotOptions::ALL }
}
