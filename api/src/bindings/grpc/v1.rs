//! The service of A2A 1.0.

use super::{
    calls::{CallHandler, mismatch},
    frames::MessageStream,
};
use crate::bindings::perform::OperationOutcome;
use async_trait::async_trait;
use longhaul_proto::{
    pb::v1::{self as pb, a2a_service_server::A2aService},
    v1,
};
use longhaul_wire::{
    Operation, ProtocolError, Request as OperationRequest, SendRequest, WireError,
};
use tonic::{Request, Response, Status};

/// Handles the calls of 1.0.
pub struct ServiceV1(pub CallHandler);

type RpcResult<R> = Result<Response<R>, Status>;

fn task(outcome: &OperationOutcome) -> Result<pb::Task, WireError> {
    match outcome {
        OperationOutcome::Task(task) => v1::task(task),
        _ => mismatch(),
    }
}

fn sending(
    operation_request: fn(Box<SendRequest>) -> OperationRequest,
) -> impl FnOnce(pb::SendMessageRequest) -> Result<OperationRequest, ProtocolError> {
    move |request| v1::read_send(request).map(|request| operation_request(Box::new(request)))
}

#[async_trait]
impl A2aService for ServiceV1 {
    type SendStreamingMessageStream = MessageStream<pb::StreamResponse>;
    type SubscribeToTaskStream = MessageStream<pb::StreamResponse>;

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> RpcResult<pb::SendMessageResponse> {
        let write = |outcome: &OperationOutcome| match outcome {
            OperationOutcome::Sent(sent) => v1::send(sent),
            _ => mismatch(),
        };
        self.0.unary(Operation::Send, request, sending(OperationRequest::Send), write).await
    }

    async fn send_streaming_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> RpcResult<Self::SendStreamingMessageStream> {
        self.0
            .stream(Operation::Stream, request, sending(OperationRequest::Stream), v1::event)
            .await
    }

    async fn get_task(&self, request: Request<pb::GetTaskRequest>) -> RpcResult<pb::Task> {
        let read = |request| v1::read_get(request).map(OperationRequest::Get);
        self.0.unary(Operation::Get, request, read, task).await
    }

    async fn list_tasks(
        &self,
        request: Request<pb::ListTasksRequest>,
    ) -> RpcResult<pb::ListTasksResponse> {
        let read = |request| v1::read_list(request).map(OperationRequest::List);
        let write = |outcome: &OperationOutcome| match outcome {
            OperationOutcome::Page(page) => v1::page(page),
            _ => mismatch(),
        };
        self.0.unary(Operation::List, request, read, write).await
    }

    async fn cancel_task(&self, request: Request<pb::CancelTaskRequest>) -> RpcResult<pb::Task> {
        let read = |request| v1::read_cancel(request).map(OperationRequest::Cancel);
        self.0.unary(Operation::Cancel, request, read, task).await
    }

    async fn subscribe_to_task(
        &self,
        request: Request<pb::SubscribeToTaskRequest>,
    ) -> RpcResult<Self::SubscribeToTaskStream> {
        let read = |request| v1::read_subscribe(request).map(OperationRequest::Subscribe);
        self.0.stream(Operation::Subscribe, request, read, v1::event).await
    }

    async fn create_task_push_notification_config(
        &self,
        request: Request<pb::TaskPushNotificationConfig>,
    ) -> RpcResult<pb::TaskPushNotificationConfig> {
        let read = |request| v1::read_create_push(request).map(OperationRequest::CreatePush);
        self.0.unary(Operation::CreatePush, request, read, |_| mismatch()).await
    }

    async fn get_task_push_notification_config(
        &self,
        request: Request<pb::GetTaskPushNotificationConfigRequest>,
    ) -> RpcResult<pb::TaskPushNotificationConfig> {
        let read = |request| v1::read_get_push(request).map(OperationRequest::GetPush);
        self.0.unary(Operation::GetPush, request, read, |_| mismatch()).await
    }

    async fn list_task_push_notification_configs(
        &self,
        request: Request<pb::ListTaskPushNotificationConfigsRequest>,
    ) -> RpcResult<pb::ListTaskPushNotificationConfigsResponse> {
        let read = |request| v1::read_list_push(request).map(OperationRequest::ListPush);
        self.0.unary(Operation::ListPush, request, read, |_| mismatch()).await
    }

    async fn delete_task_push_notification_config(
        &self,
        request: Request<pb::DeleteTaskPushNotificationConfigRequest>,
    ) -> RpcResult<()> {
        let read = |request| v1::read_delete_push(request).map(OperationRequest::DeletePush);
        self.0.unary(Operation::DeletePush, request, read, |_| mismatch()).await
    }

    async fn get_extended_agent_card(
        &self,
        request: Request<pb::GetExtendedAgentCardRequest>,
    ) -> RpcResult<pb::AgentCard> {
        let read = |request| v1::read_extended_card(request).map(OperationRequest::ExtendedCard);
        let write = |outcome: &OperationOutcome| match outcome {
            OperationOutcome::Card(card) => Ok(v1::card(card)),
            _ => mismatch(),
        };
        self.0.unary(Operation::ExtendedCard, request, read, write).await
    }
}
