//! Requests for tasks and for the extended card (A2A 3.1.3 to 3.1.6, 3.1.11).

use crate::{
    pb::v1 as pb,
    read::{
        context_id, count, history_length, optional, optional_text, read_request, state, task_ref,
        time,
    },
    value,
};
use longhaul_wire::{
    CancelRequest, ExtendedCardRequest, GetRequest, ListRequest, ProtocolError, SubscribeRequest,
    request::MAX_PAGE_SIZE,
};

/// Reads the request of Get Task.
pub fn read_get(request: pb::GetTaskRequest) -> Result<GetRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(request.tenant, &at.field("tenant"));
        let id = task_ref(request.id, &at.field("id"));
        let history = optional(request.history_length, &at.field("historyLength"), history_length);
        Ok(GetRequest { tenant: tenant?, id: id?, history_length: history? })
    })
}

/// Reads the request of List Tasks.
pub fn read_list(request: pb::ListTasksRequest) -> Result<ListRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(request.tenant, &at.field("tenant"));
        let context = context_id(request.context_id, &at.field("contextId"));
        let status = state(request.status, &at.field("status"));
        let size = optional(request.page_size, &at.field("pageSize"), |size, at| {
            count(size, at, &(1..=MAX_PAGE_SIZE))
        });
        let token = optional_text(request.page_token, &at.field("pageToken"));
        let history = optional(request.history_length, &at.field("historyLength"), history_length);
        let after = &at.field("statusTimestampAfter");
        let after = optional(request.status_timestamp_after, after, time);
        Ok(ListRequest {
            tenant: tenant?,
            context_id: context?,
            status: status?,
            page_size: size?,
            page_token: token?,
            history_length: history?,
            status_timestamp_after: after?,
            include_artifacts: request.include_artifacts.unwrap_or_default(),
        })
    })
}

/// Reads the request of Cancel Task.
pub fn read_cancel(request: pb::CancelTaskRequest) -> Result<CancelRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(request.tenant, &at.field("tenant"));
        let id = task_ref(request.id, &at.field("id"));
        let metadata = value::maybe_object(request.metadata.as_ref(), &at.field("metadata"));
        Ok(CancelRequest { tenant: tenant?, id: id?, metadata: metadata? })
    })
}

/// Reads the request of Subscribe to Task.
pub fn read_subscribe(
    request: pb::SubscribeToTaskRequest,
) -> Result<SubscribeRequest, ProtocolError> {
    read_request(|at| {
        let tenant = optional_text(request.tenant, &at.field("tenant"));
        let id = task_ref(request.id, &at.field("id"));
        Ok(SubscribeRequest { tenant: tenant?, id: id? })
    })
}

/// Reads the request of Get Extended Agent Card.
pub fn read_extended_card(
    request: pb::GetExtendedAgentCardRequest,
) -> Result<ExtendedCardRequest, ProtocolError> {
    read_request(|at| {
        Ok(ExtendedCardRequest { tenant: optional_text(request.tenant, &at.field("tenant"))? })
    })
}
