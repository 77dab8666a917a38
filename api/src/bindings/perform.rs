//! The common part of all bindings, between reading a request and writing its response: checks the
//! scope, finds the agent, calls the use case.

use super::{
    AppState,
    card_format::CardFormat,
    request::{check_scope, client_rules, with_tenant},
};
use crate::blocking::block_in_place_if_large;
use crate::service::{BudgetPermit, Budgeted, Caller, EventStream};
use longhaul_domain::{Seq, Task};
use longhaul_wire::{
    Dialect, Operation, ProtocolError, Request, ResultPayload, SendOutcome, TaskPage,
    v1::card::AgentCard,
};

/// Result of a request that is not a stream.
pub enum OperationOutcome {
    /// Result of Send Message.
    Sent(SendOutcome),
    /// Result of Get Task and Cancel Task.
    Task(Box<Task>),
    /// Result of List Tasks.
    Page(TaskPage),
    /// Result of Get Extended Agent Card.
    Card(Box<AgentCard>),
}

impl OperationOutcome {
    /// The result to be encoded.
    pub const fn output(&self) -> ResultPayload<'_> {
        match self {
            Self::Sent(outcome) => ResultPayload::Send(outcome),
            Self::Task(task) => ResultPayload::Task(task),
            Self::Page(page) => ResultPayload::Page(page),
            Self::Card(card) => ResultPayload::Card(card),
        }
    }
}

/// Response of an operation, complete or as a stream.
pub enum OperationResponse {
    /// A complete result, and the budget held until it is written.
    Complete(OperationOutcome, BudgetPermit),
    /// A stream of frames.
    Stream(Box<EventStream>),
}

/// A request as far as it is known before it is decoded.
#[derive(Debug, Clone, Copy)]
pub struct OperationCall {
    /// Dialect of the client.
    pub dialect: Dialect,
    /// The requested operation.
    pub operation: Operation,
    /// Cursor of a client that resumes a subscription.
    pub cursor: Option<Seq>,
    /// Bytes still to be decoded.
    pub size: usize,
}

/// Decodes a request and performs it. A caller without the scope is not told what else is wrong.
pub async fn perform(
    state: &AppState,
    caller: Caller,
    call: OperationCall,
    read: impl FnOnce() -> Result<Request, ProtocolError>,
) -> Result<OperationResponse, ProtocolError> {
    let OperationCall { dialect, operation, cursor, size } = call;
    tracing::Span::current().record("method", operation.v1_method());
    // Before decoding: the caller learns nothing else about the request.
    check_scope(&caller, operation)?;
    check_streams(state, operation)?;
    let request = block_in_place_if_large(size, read).await?;
    // After decoding: the tenant may stand in the body.
    let caller = with_tenant(caller, request.tenant())?;
    let caller = &Caller { rules: client_rules(dialect), ..caller };
    let service = &state.service;
    if !matches!(operation, Operation::Send | Operation::Stream) {
        // Operations with a message do this when they accept it.
        service.activate(caller).await;
    }
    let task = |Budgeted { value, permit }: Budgeted<Task>| {
        OperationResponse::Complete(OperationOutcome::Task(Box::new(value)), permit)
    };
    Ok(match request {
        Request::Send(request) => {
            let Budgeted { value, permit } = service.send(caller, *request).await?;
            OperationResponse::Complete(OperationOutcome::Sent(value), permit)
        }
        Request::Stream(request) => stream(service.stream(caller, *request).await?),
        Request::Get(request) => task(service.get(caller, request).await?),
        Request::List(request) => {
            let Budgeted { value, permit } = service.list(caller, request).await?;
            OperationResponse::Complete(OperationOutcome::Page(value), permit)
        }
        Request::Cancel(request) => task(service.cancel(caller, request).await?),
        Request::Subscribe(request) => stream(service.subscribe(caller, request, cursor).await?),
        Request::CreatePush(_)
        | Request::GetPush(_)
        | Request::ListPush(_)
        | Request::DeletePush(_) => return Err(ProtocolError::PushNotificationNotSupported),
        Request::ExtendedCard(_) => {
            let format = CardFormat::from_dialect(dialect);
            let card = service.extended_card(caller).await;
            let mut card = card.map_err(|error| format.card_error(error))?;
            format.sign(service, &mut card, &service.card_address(caller));
            OperationResponse::Complete(
                OperationOutcome::Card(Box::new(card)),
                BudgetPermit::default(),
            )
        }
    })
}

/// Refuses streams when none are offered (A2A 3.3.4).
fn check_streams(state: &AppState, operation: Operation) -> Result<(), ProtocolError> {
    if state.service.options.streaming || !operation.is_stream() {
        return Ok(());
    }
    Err(ProtocolError::UnsupportedOperation(
        "this server offers no streams; send without streaming, and get the task to see how it goes".to_owned(),
    ))
}

fn stream(frames: EventStream) -> OperationResponse {
    OperationResponse::Stream(Box::new(frames))
}
