//! Requests about tasks, and for the card.

use super::name;
use crate::{
    pb::v0 as pb,
    read::{asked, history_length},
};
use longhaul_wire::{
    CancelRequest, ExtendedCardRequest, GetRequest, ProtocolError, SubscribeRequest,
};

/// Reads the request of getting a task.
pub fn read_get(request: pb::GetTaskRequest) -> Result<GetRequest, ProtocolError> {
    asked(|at| {
        let id = name::task(request.name, &at.field("name"));
        let history = history_length(request.history_length, &at.field("historyLength"));
        let history_length = Some(history?).filter(|length| *length > 0);
        Ok(GetRequest { tenant: None, id: id?, history_length })
    })
}

/// Reads the request of canceling a task.
pub fn read_cancel(request: pb::CancelTaskRequest) -> Result<CancelRequest, ProtocolError> {
    asked(|at| {
        let id = name::task(request.name, &at.field("name"))?;
        Ok(CancelRequest { tenant: None, id, metadata: None })
    })
}

/// Reads the request of following a task.
pub fn read_subscribe(
    request: pb::TaskSubscriptionRequest,
) -> Result<SubscribeRequest, ProtocolError> {
    asked(|at| {
        Ok(SubscribeRequest { tenant: None, id: name::task(request.name, &at.field("name"))? })
    })
}

/// Reads the request for the card, which says nothing.
pub fn read_extended_card(
    _: pb::GetAgentCardRequest,
) -> Result<ExtendedCardRequest, ProtocolError> {
    Ok(ExtendedCardRequest { tenant: None })
}
