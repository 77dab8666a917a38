//! The service of A2A 1.0.

use super::{
    calls::{Calls, mismatch},
    frames::Frames,
};
use crate::bindings::perform::Outcome;
use async_trait::async_trait;
use longhaul_proto::{
    pb::v1::{self as pb, a2a_service_server::A2aService},
    v1,
};
use longhaul_wire::{Operation, ProtocolError, Request as Asked, SendRequest, WireError};
use tonic::{Request, Response, Status};

/// The calls of 1.0.
pub struct Service(pub Calls);

type Answer<R> = Result<Response<R>, Status>;

fn task(outcome: &Outcome) -> Result<pb::Task, WireError> {
    match outcome {
        Outcome::Task(task) => v1::task(task),
        _ => mismatch(),
    }
}

fn sending(
    asked: fn(Box<SendRequest>) -> Asked,
) -> impl FnOnce(pb::SendMessageRequest) -> Result<Asked, ProtocolError> {
    move |request| v1::read_send(request).map(|request| asked(Box::new(request)))
}

#[async_trait]
impl A2aService for Service {
    type SendStreamingMessageStream = Frames<pb::StreamResponse>;
    type SubscribeToTaskStream = Frames<pb::StreamResponse>;

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<pb::SendMessageResponse> {
        let write = |outcome: &Outcome| match outcome {
            Outcome::Sent(sent) => v1::send(sent),
            _ => mismatch(),
        };
        self.0.whole(Operation::Send, request, sending(Asked::Send), write).await
    }

    async fn send_streaming_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<Self::SendStreamingMessageStream> {
        self.0.stream(Operation::Stream, request, sending(Asked::Stream), v1::event).await
    }

    async fn get_task(&self, request: Request<pb::GetTaskRequest>) -> Answer<pb::Task> {
        let read = |request| v1::read_get(request).map(Asked::Get);
        self.0.whole(Operation::Get, request, read, task).await
    }

    async fn list_tasks(
        &self,
        request: Request<pb::ListTasksRequest>,
    ) -> Answer<pb::ListTasksResponse> {
        let read = |request| v1::read_list(request).map(Asked::List);
        let write = |outcome: &Outcome| match outcome {
            Outcome::Page(page) => v1::page(page),
            _ => mismatch(),
        };
        self.0.whole(Operation::List, request, read, write).await
    }

    async fn cancel_task(&self, request: Request<pb::CancelTaskRequest>) -> Answer<pb::Task> {
        let read = |request| v1::read_cancel(request).map(Asked::Cancel);
        self.0.whole(Operation::Cancel, request, read, task).await
    }

    async fn subscribe_to_task(
        &self,
        request: Request<pb::SubscribeToTaskRequest>,
    ) -> Answer<Self::SubscribeToTaskStream> {
        let read = |request| v1::read_subscribe(request).map(Asked::Subscribe);
        self.0.stream(Operation::Subscribe, request, read, v1::event).await
    }

    async fn create_task_push_notification_config(
        &self,
        request: Request<pb::TaskPushNotificationConfig>,
    ) -> Answer<pb::TaskPushNotificationConfig> {
        let read = |request| v1::read_create_push(request).map(Asked::CreatePush);
        self.0.whole(Operation::CreatePush, request, read, |_| mismatch()).await
    }

    async fn get_task_push_notification_config(
        &self,
        request: Request<pb::GetTaskPushNotificationConfigRequest>,
    ) -> Answer<pb::TaskPushNotificationConfig> {
        let read = |request| v1::read_get_push(request).map(Asked::GetPush);
        self.0.whole(Operation::GetPush, request, read, |_| mismatch()).await
    }

    async fn list_task_push_notification_configs(
        &self,
        request: Request<pb::ListTaskPushNotificationConfigsRequest>,
    ) -> Answer<pb::ListTaskPushNotificationConfigsResponse> {
        let read = |request| v1::read_list_push(request).map(Asked::ListPush);
        self.0.whole(Operation::ListPush, request, read, |_| mismatch()).await
    }

    async fn delete_task_push_notification_config(
        &self,
        request: Request<pb::DeleteTaskPushNotificationConfigRequest>,
    ) -> Answer<()> {
        let read = |request| v1::read_delete_push(request).map(Asked::DeletePush);
        self.0.whole(Operation::DeletePush, request, read, |_| mismatch()).await
    }

    async fn get_extended_agent_card(
        &self,
        request: Request<pb::GetExtendedAgentCardRequest>,
    ) -> Answer<pb::AgentCard> {
        let read = |request| v1::read_extended_card(request).map(Asked::ExtendedCard);
        let write = |outcome: &Outcome| match outcome {
            Outcome::Card(card) => Ok(v1::card(card)),
            _ => mismatch(),
        };
        self.0.whole(Operation::ExtendedCard, request, read, write).await
    }
}
