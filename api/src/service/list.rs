//! List Tasks (A2A 3.1.4).

use super::{Caller, Result, Service, fit::history_of_each, page_token};
use longhaul_store::{ListQuery, SnapshotOptions};
use longhaul_wire::{ListRequest, ProtocolError, TaskPage};

impl Service {
    /// One page of the caller's tasks.
    pub async fn list(&self, caller: &Caller, request: ListRequest) -> Result<TaskPage> {
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
                history: history_of_each(history, page_size),
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
        let page = self.store.list_tasks(query.clone()).await;
        let mut page = page.map_err(|e| caller.failed(&e))?;
        self.show_page(caller, &mut page.tasks).await?;
        Ok(TaskPage {
            tasks: page.tasks,
            next_page_token: page
                .next
                .map(|cursor| page_token::write(&query, &cursor))
                .unwrap_or_default(),
            page_size,
            total_size: u32::try_from(page.total).unwrap_or(u32::MAX),
            include_artifacts: request.include_artifacts,
        })
    }
}
