//! The gRPC service of A2A 0.3. The client's `user-agent` tells how it encodes files.

use super::{
    calls::{CallHandler, mismatch, request_id},
    frames::MessageStream,
};
use crate::{
    bindings::{card_format::CardFormat, perform::OperationOutcome},
    service::{Caller, CardAddress, CardLookup, CardScope},
};
use async_trait::async_trait;
use longhaul_domain::Seq;
use longhaul_proto::{
    pb::v0::{self as pb, a2a_service_server::A2aService},
    v0::{self, EncodeFiles},
};
use longhaul_wire::{
    Operation, ProtocolError, Request as OperationRequest, SendRequest, StreamEvent, WireError,
    v0::FileEncoding,
};
use tonic::{Request, Response, Status};

/// Handles the calls of 0.3.
pub struct ServiceV0(pub CallHandler);

type RpcResult<R> = Result<Response<R>, Status>;

impl ServiceV0 {
    async fn public_card(&self, address: &CardAddress) -> Option<Response<pb::AgentCard>> {
        let service = &self.0.state().service;
        match service.card(&CardScope::Root, address).await {
            Ok(CardLookup::Found(mut card)) => {
                CardFormat::V0_3.sign(service, &mut card, address);
                Some(Response::new(v0::card(&card)))
            }
            Ok(CardLookup::NotFound(_)) | Err(_) => None,
        }
    }
}

/// File encoding of the client.
fn file_encoding<T>(request: &Request<T>) -> FileEncoding {
    let agent = request.metadata().get("user-agent");
    FileEncoding::from_user_agent(agent.and_then(|agent| agent.to_str().ok()))
}

fn task(files: FileEncoding) -> impl FnOnce(&OperationOutcome) -> Result<pb::Task, WireError> {
    move |outcome| match outcome {
        OperationOutcome::Task(task) => v0::task(task).map(|task| task.encode_files(files)),
        _ => mismatch(),
    }
}

fn event(
    files: FileEncoding,
) -> impl Fn(&StreamEvent, Option<Seq>) -> Result<pb::StreamResponse, WireError> {
    move |event, cursor| v0::event(event, cursor).map(|event| event.encode_files(files))
}

fn sending(
    operation_request: fn(Box<SendRequest>) -> OperationRequest,
    files: FileEncoding,
) -> impl FnOnce(pb::SendMessageRequest) -> Result<OperationRequest, ProtocolError> {
    move |request| {
        let mut operation_request = operation_request(Box::new(v0::read_send(request)?));
        files.decode_files(&mut operation_request);
        Ok(operation_request)
    }
}

#[async_trait]
impl A2aService for ServiceV0 {
    type SendStreamingMessageStream = MessageStream<pb::StreamResponse>;
    type TaskSubscriptionStream = MessageStream<pb::StreamResponse>;

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> RpcResult<pb::SendMessageResponse> {
        let files = file_encoding(&request);
        let write = |outcome: &OperationOutcome| match outcome {
            OperationOutcome::Sent(sent) => v0::send(sent).map(|sent| sent.encode_files(files)),
            _ => mismatch(),
        };
        self.0.unary(Operation::Send, request, sending(OperationRequest::Send, files), write).await
    }

    async fn send_streaming_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> RpcResult<Self::SendStreamingMessageStream> {
        let files = file_encoding(&request);
        let read = sending(OperationRequest::Stream, files);
        self.0.stream(Operation::Stream, request, read, event(files)).await
    }

    async fn get_task(&self, request: Request<pb::GetTaskRequest>) -> RpcResult<pb::Task> {
        let read = |request| v0::read_get(request).map(OperationRequest::Get);
        let files = file_encoding(&request);
        self.0.unary(Operation::Get, request, read, task(files)).await
    }

    async fn cancel_task(&self, request: Request<pb::CancelTaskRequest>) -> RpcResult<pb::Task> {
        let read = |request| v0::read_cancel(request).map(OperationRequest::Cancel);
        let files = file_encoding(&request);
        self.0.unary(Operation::Cancel, request, read, task(files)).await
    }

    async fn task_subscription(
        &self,
        request: Request<pb::TaskSubscriptionRequest>,
    ) -> RpcResult<Self::TaskSubscriptionStream> {
        let read = |request| v0::read_subscribe(request).map(OperationRequest::Subscribe);
        let files = file_encoding(&request);
        self.0.stream(Operation::Subscribe, request, read, event(files)).await
    }

    async fn create_task_push_notification_config(
        &self,
        request: Request<pb::CreateTaskPushNotificationConfigRequest>,
    ) -> RpcResult<pb::TaskPushNotificationConfig> {
        let read = |request| v0::read_create_push(request).map(OperationRequest::CreatePush);
        self.0.unary(Operation::CreatePush, request, read, |_| mismatch()).await
    }

    async fn get_task_push_notification_config(
        &self,
        request: Request<pb::GetTaskPushNotificationConfigRequest>,
    ) -> RpcResult<pb::TaskPushNotificationConfig> {
        let read = |request| v0::read_get_push(request).map(OperationRequest::GetPush);
        self.0.unary(Operation::GetPush, request, read, |_| mismatch()).await
    }

    async fn list_task_push_notification_config(
        &self,
        request: Request<pb::ListTaskPushNotificationConfigRequest>,
    ) -> RpcResult<pb::ListTaskPushNotificationConfigResponse> {
        let read = |request| v0::read_list_push(request).map(OperationRequest::ListPush);
        self.0.unary(Operation::ListPush, request, read, |_| mismatch()).await
    }

    async fn delete_task_push_notification_config(
        &self,
        request: Request<pb::DeleteTaskPushNotificationConfigRequest>,
    ) -> RpcResult<()> {
        let read = |request| v0::read_delete_push(request).map(OperationRequest::DeletePush);
        self.0.unary(Operation::DeletePush, request, read, |_| mismatch()).await
    }

    async fn get_agent_card(
        &self,
        request: Request<pb::GetAgentCardRequest>,
    ) -> RpcResult<pb::AgentCard> {
        let read = |request| v0::read_extended_card(request).map(OperationRequest::ExtendedCard);
        let write = |outcome: &OperationOutcome| match outcome {
            OperationOutcome::Card(card) => Ok(v0::card(card)),
            _ => mismatch(),
        };
        let request_id = request_id(&request);
        let requested =
            request.extensions().get().and_then(|caller: &Caller| caller.card_address.clone());
        let address = requested.unwrap_or_else(|| self.0.state().service.own_address());
        match self.0.perform(Operation::ExtendedCard, request, read).await {
            Ok(performed) => self.0.encode(performed, request_id, write),
            // Without an extended card, the request is for the public one.
            Err(error @ ProtocolError::ExtendedAgentCardNotConfigured) => {
                self.public_card(&address).await.ok_or_else(|| self.0.status(&error))
            }
            Err(error) => Err(self.0.status(&error)),
        }
    }
}
