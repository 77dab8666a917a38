//! What every binding does between reading a request and writing its answer: the scope is checked, the agent found out,
//! the use case called. Bindings differ in bytes only.

use super::{
    Gate,
    request::{check_scope, with_tenant},
};
use crate::apart::apart;
use crate::service::{Answer, Caller, EventStream, Held, Rules, Shape};
use longhaul_domain::{Seq, Task};
use longhaul_wire::{
    Dialect, Operation, ProtocolError, Request, ResultPayload, SendOutcome, TaskPage,
    v1::card::AgentCard,
};

/// What came of a request.
pub enum Outcome {
    /// Of Send Message.
    Sent(SendOutcome),
    /// Of Get Task and Cancel Task.
    Task(Box<Task>),
    /// Of List Tasks.
    Page(TaskPage),
    /// Of Get Extended Agent Card.
    Card(Box<AgentCard>),
}

impl Outcome {
    /// The same, to be written.
    pub const fn output(&self) -> ResultPayload<'_> {
        match self {
            Self::Sent(outcome) => ResultPayload::Send(outcome),
            Self::Task(task) => ResultPayload::Task(task),
            Self::Page(page) => ResultPayload::Page(page),
            Self::Card(card) => ResultPayload::Card(card),
        }
    }
}

/// An answer, whole or as it comes.
pub enum Performed {
    /// Whole. Its room is free when what was written from it is gone.
    Whole(Outcome, Held),
    /// Frame by frame.
    Stream(Box<EventStream>),
}

/// What is asked for, as far as it is known before the request itself is read.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// How the client speaks.
    pub dialect: Dialect,
    /// What it asks for.
    pub operation: Operation,
    /// Where a client that subscribes again left off.
    pub cursor: Option<Seq>,
    /// Bytes that are still to be decoded.
    pub size: usize,
}

/// Reads what is asked for, and does it. Nobody who may not ask for it is told what is wrong with it.
pub async fn perform(
    gate: &Gate,
    caller: Caller,
    call: Call,
    read: impl FnOnce() -> Result<Request, ProtocolError>,
) -> Result<Performed, ProtocolError> {
    let Call { dialect, operation, cursor, size } = call;
    tracing::Span::current().record("method", operation.v1_method());
    check_scope(&caller, operation)?;
    check_streams(gate, operation)?;
    let asked = apart(size, read).await?;
    let caller = with_tenant(caller, asked.tenant())?;
    let caller = &Caller { rules: Rules::of(dialect), ..caller };
    let service = &gate.service;
    if !matches!(operation, Operation::Send | Operation::Stream) {
        service.activate(caller).await;
    }
    let task = |Answer { answer, held }: Answer<Task>| {
        Performed::Whole(Outcome::Task(Box::new(answer)), held)
    };
    Ok(match asked {
        Request::Send(request) => {
            let Answer { answer, held } = service.send(caller, *request).await?;
            Performed::Whole(Outcome::Sent(answer), held)
        }
        Request::Stream(request) => stream(service.stream(caller, *request).await?),
        Request::Get(request) => task(service.get(caller, request).await?),
        Request::List(request) => {
            let Answer { answer, held } = service.list(caller, request).await?;
            Performed::Whole(Outcome::Page(answer), held)
        }
        Request::Cancel(request) => task(service.cancel(caller, request).await?),
        Request::Subscribe(request) => stream(service.subscribe(caller, request, cursor).await?),
        Request::CreatePush(_)
        | Request::GetPush(_)
        | Request::ListPush(_)
        | Request::DeletePush(_) => return Err(ProtocolError::PushNotificationNotSupported),
        Request::ExtendedCard(_) => {
            let card = service.extended_card(caller, Shape::of(dialect)).await?;
            Performed::Whole(Outcome::Card(Box::new(card)), Held::default())
        }
    })
}

/// Refuses streams where none are offered (A2A 3.3.4).
fn check_streams(gate: &Gate, operation: Operation) -> Result<(), ProtocolError> {
    if gate.service.options.streaming || !operation.is_stream() {
        return Ok(());
    }
    Err(ProtocolError::UnsupportedOperation(
        "this server offers no streams; send without streaming, and get the task to see how it goes".to_owned(),
    ))
}

fn stream(frames: EventStream) -> Performed {
    Performed::Stream(Box::new(frames))
}
