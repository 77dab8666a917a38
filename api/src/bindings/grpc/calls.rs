//! The common part of the gRPC services of both dialects.

use super::frames::{self, MessageStream};
use crate::{
    bindings::{
        AppState,
        perform::{OperationCall, OperationOutcome, OperationResponse, perform},
        request::cursor,
        response::encode_failed,
    },
    service::Caller,
};
use longhaul_domain::Seq;
use longhaul_proto::status;
use longhaul_wire::{Dialect, Operation, ProtocolError, Request, StreamEvent, WireError};
use std::sync::Arc;
use tonic::{Response, Status};

/// Handles the calls of one dialect.
pub struct CallHandler {
    state: AppState,
    dialect: Dialect,
}

impl CallHandler {
    /// A handler for a dialect.
    pub fn new(state: &AppState, dialect: Dialect) -> Self {
        Self { state: state.clone(), dialect }
    }

    /// State shared by all handlers.
    pub const fn state(&self) -> &AppState {
        &self.state
    }

    /// An error as a gRPC status.
    pub fn status(&self, error: &ProtocolError) -> Status {
        tracing::debug!(%error, "request refused");
        status(self.dialect, error)
    }

    /// Handles a unary call.
    pub async fn unary<T, R>(
        &self,
        operation: Operation,
        request: tonic::Request<T>,
        read: impl FnOnce(T) -> Result<Request, ProtocolError>,
        write: impl FnOnce(&OperationOutcome) -> Result<R, WireError>,
    ) -> Result<Response<R>, Status> {
        let request_id = request_id(&request);
        let performed = self.perform(operation, request, read).await;
        let performed = performed.map_err(|error| self.status(&error))?;
        self.encode(performed, request_id, write)
    }

    /// Encodes a complete result.
    pub fn encode<R>(
        &self,
        performed: OperationResponse,
        request_id: String,
        write: impl FnOnce(&OperationOutcome) -> Result<R, WireError>,
    ) -> Result<Response<R>, Status> {
        match performed {
            OperationResponse::Complete(outcome, permit) => {
                let written = write(&outcome);
                let mut response = Response::new(
                    written.map_err(|why| self.status(&encode_failed(&why, request_id)))?,
                );
                // Tonic encodes later; the exchange holds the permit until the bytes are gone.
                response.extensions_mut().insert(Arc::new(permit));
                Ok(response)
            }
            OperationResponse::Stream(_) => {
                Err(self.status(&ProtocolError::Internal { request_id }))
            }
        }
    }

    /// Handles a call with a stream of responses.
    pub async fn stream<T, R: Send + 'static>(
        &self,
        operation: Operation,
        request: tonic::Request<T>,
        read: impl FnOnce(T) -> Result<Request, ProtocolError>,
        write: impl Fn(&StreamEvent, Option<Seq>) -> Result<R, WireError> + Send + 'static,
    ) -> Result<Response<MessageStream<R>>, Status> {
        let request_id = request_id(&request);
        let performed = self.perform(operation, request, read).await;
        match performed.map_err(|error| self.status(&error))? {
            OperationResponse::Stream(events) => {
                Ok(Response::new(frames::encode_stream(*events, write, self.dialect, request_id)))
            }
            OperationResponse::Complete(..) => {
                Err(self.status(&ProtocolError::Internal { request_id }))
            }
        }
    }

    /// Performs the operation of a call.
    pub async fn perform<T>(
        &self,
        operation: Operation,
        mut request: tonic::Request<T>,
        read: impl FnOnce(T) -> Result<Request, ProtocolError>,
    ) -> Result<OperationResponse, ProtocolError> {
        // Attached before the message was read.
        let caller = request.extensions_mut().remove::<Caller>();
        let caller = caller.ok_or_else(|| {
            tracing::error!("gRPC call without a caller");
            ProtocolError::Internal { request_id: String::new() }
        })?;
        let cursor = match operation {
            Operation::Subscribe => cursor(request.metadata().as_ref())?,
            _ => None,
        };
        // The message was decoded before, see `first_poll_in_place_if_large`.
        let call = OperationCall { dialect: self.dialect, operation, cursor, size: 0 };
        let message = request.into_inner();
        perform(&self.state, caller, call, || read(message)).await
    }
}

/// Request id of a call, under which causes are logged.
pub fn request_id<T>(request: &tonic::Request<T>) -> String {
    request.extensions().get::<Caller>().map(|caller| caller.request_id.clone()).unwrap_or_default()
}

/// Error for a result of another operation.
pub fn mismatch<R>() -> Result<R, WireError> {
    Err(WireError::Unresolved("the answer is of another operation".to_owned()))
}
