//! What the services of both dialects do alike with a message.

use super::frames::{self, Frames};
use crate::{
    bindings::{
        Gate,
        answer::unwritable,
        perform::{Call, Outcome, Performed, perform},
        request::cursor,
    },
    service::Caller,
};
use longhaul_domain::Seq;
use longhaul_proto::status;
use longhaul_wire::{Dialect, Operation, ProtocolError, Request, StreamEvent, WireError};
use std::sync::Arc;
use tonic::{Response, Status};

/// The calls of one dialect.
pub struct Calls {
    gate: Gate,
    dialect: Dialect,
}

impl Calls {
    /// Those of a dialect.
    pub fn new(gate: &Gate, dialect: Dialect) -> Self {
        Self { gate: gate.clone(), dialect }
    }

    /// What the node is made of.
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// An error as its client sees it.
    pub fn status(&self, error: &ProtocolError) -> Status {
        tracing::debug!(%error, "refused");
        status(self.dialect, error)
    }

    /// A call that is answered whole.
    pub async fn whole<T, R>(
        &self,
        operation: Operation,
        request: tonic::Request<T>,
        read: impl FnOnce(T) -> Result<Request, ProtocolError>,
        write: impl FnOnce(&Outcome) -> Result<R, WireError>,
    ) -> Result<Response<R>, Status> {
        let request_id = request_id(&request);
        let performed = self.perform(operation, request, read).await;
        let performed = performed.map_err(|error| self.status(&error))?;
        self.written(performed, request_id, write)
    }

    /// An answer that is whole.
    pub fn written<R>(
        &self,
        performed: Performed,
        request_id: String,
        write: impl FnOnce(&Outcome) -> Result<R, WireError>,
    ) -> Result<Response<R>, Status> {
        match performed {
            Performed::Whole(outcome, held) => {
                let written = write(&outcome);
                let mut response = Response::new(
                    written.map_err(|why| self.status(&unwritable(&why, request_id)))?,
                );
                response.extensions_mut().insert(Arc::new(held));
                Ok(response)
            }
            Performed::Stream(_) => Err(self.status(&ProtocolError::Internal { request_id })),
        }
    }

    /// A call that is answered event by event.
    pub async fn stream<T, R: Send + 'static>(
        &self,
        operation: Operation,
        request: tonic::Request<T>,
        read: impl FnOnce(T) -> Result<Request, ProtocolError>,
        write: impl Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError> + Send + 'static,
    ) -> Result<Response<Frames<R>>, Status> {
        let request_id = request_id(&request);
        let performed = self.perform(operation, request, read).await;
        match performed.map_err(|error| self.status(&error))? {
            Performed::Stream(events) => {
                Ok(Response::new(frames::begin(*events, write, self.dialect, request_id)))
            }
            Performed::Whole(..) => Err(self.status(&ProtocolError::Internal { request_id })),
        }
    }

    /// What comes of a call.
    pub async fn perform<T>(
        &self,
        operation: Operation,
        mut request: tonic::Request<T>,
        read: impl FnOnce(T) -> Result<Request, ProtocolError>,
    ) -> Result<Performed, ProtocolError> {
        // It was put there before the message was read.
        let caller = request.extensions_mut().remove::<Caller>();
        let caller = caller.ok_or_else(|| {
            tracing::error!("nobody asks");
            ProtocolError::Internal { request_id: String::new() }
        })?;
        let cursor = match operation {
            Operation::Subscribe => cursor(request.metadata().as_ref())?,
            _ => None,
        };
        // It was decoded before, see `begun_apart`.
        let call = Call { dialect: self.dialect, operation, cursor, size: 0 };
        let message = request.into_inner();
        perform(&self.gate, caller, call, || read(message)).await
    }
}

/// Under which causes are logged.
pub fn request_id<T>(request: &tonic::Request<T>) -> String {
    request.extensions().get::<Caller>().map(|caller| caller.request_id.clone()).unwrap_or_default()
}

/// The use case gave what was not asked for.
pub fn mismatch<R>() -> Result<R, WireError> {
    Err(WireError::Unresolved("the answer is of another operation".to_owned()))
}
