//! The service of A2A 0.3. Files are read and written as the client has them, which its `user-agent` tells.

use super::{
    calls::{Calls, mismatch, request_id},
    frames::Frames,
};
use crate::{
    bindings::perform::Outcome,
    service::{Caller, CardAddress, CardFound, CardScope, Shape},
};
use async_trait::async_trait;
use longhaul_domain::Seq;
use longhaul_proto::{
    pb::v0::{self as pb, a2a_service_server::A2aService},
    v0::{self, EncodeFiles},
};
use longhaul_wire::{
    Operation, ProtocolError, Request as Asked, SendRequest, StreamEvent, WireError,
    v0::FileEncoding,
};
use tonic::{Request, Response, Status};

/// The calls of 0.3.
pub struct Service(pub Calls);

type Answer<R> = Result<Response<R>, Status>;

impl Service {
    async fn public_card(&self, address: &CardAddress) -> Option<Response<pb::AgentCard>> {
        let service = &self.0.gate().service;
        match service.card(&CardScope::Root, address).await {
            Ok(CardFound::Card(mut card)) => {
                service.sign(&mut card, Shape::V0_3, address);
                Some(Response::new(v0::card(&card)))
            }
            Ok(CardFound::None(_)) | Err(_) => None,
        }
    }
}

/// How the client that asks has files.
fn files_of<T>(request: &Request<T>) -> FileEncoding {
    let agent = request.metadata().get("user-agent");
    FileEncoding::from_user_agent(agent.and_then(|agent| agent.to_str().ok()))
}

fn task(files: FileEncoding) -> impl FnOnce(&Outcome) -> Result<pb::Task, WireError> {
    move |outcome| match outcome {
        Outcome::Task(task) => v0::task(task).map(|task| task.files(files)),
        _ => mismatch(),
    }
}

fn event(
    files: FileEncoding,
) -> impl Fn(&StreamEvent, Option<Seq>) -> Result<pb::StreamResponse, WireError> {
    move |event, cursor| v0::event(event, cursor).map(|event| event.files(files))
}

fn sending(
    asked: fn(Box<SendRequest>) -> Asked,
    files: FileEncoding,
) -> impl FnOnce(pb::SendMessageRequest) -> Result<Asked, ProtocolError> {
    move |request| {
        let mut asked = asked(Box::new(v0::read_send(request)?));
        files.settle(&mut asked);
        Ok(asked)
    }
}

#[async_trait]
impl A2aService for Service {
    type SendStreamingMessageStream = Frames<pb::StreamResponse>;
    type TaskSubscriptionStream = Frames<pb::StreamResponse>;

    async fn send_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<pb::SendMessageResponse> {
        let files = files_of(&request);
        let write = |outcome: &Outcome| match outcome {
            Outcome::Sent(sent) => v0::send(sent).map(|sent| sent.files(files)),
            _ => mismatch(),
        };
        self.0.whole(Operation::Send, request, sending(Asked::Send, files), write).await
    }

    async fn send_streaming_message(
        &self,
        request: Request<pb::SendMessageRequest>,
    ) -> Answer<Self::SendStreamingMessageStream> {
        let files = files_of(&request);
        let read = sending(Asked::Stream, files);
        self.0.stream(Operation::Stream, request, read, event(files)).await
    }

    async fn get_task(&self, request: Request<pb::GetTaskRequest>) -> Answer<pb::Task> {
        let read = |request| v0::read_get(request).map(Asked::Get);
        let files = files_of(&request);
        self.0.whole(Operation::Get, request, read, task(files)).await
    }

    async fn cancel_task(&self, request: Request<pb::CancelTaskRequest>) -> Answer<pb::Task> {
        let read = |request| v0::read_cancel(request).map(Asked::Cancel);
        let files = files_of(&request);
        self.0.whole(Operation::Cancel, request, read, task(files)).await
    }

    async fn task_subscription(
        &self,
        request: Request<pb::TaskSubscriptionRequest>,
    ) -> Answer<Self::TaskSubscriptionStream> {
        let read = |request| v0::read_subscribe(request).map(Asked::Subscribe);
        let files = files_of(&request);
        self.0.stream(Operation::Subscribe, request, read, event(files)).await
    }

    async fn create_task_push_notification_config(
        &self,
        request: Request<pb::CreateTaskPushNotificationConfigRequest>,
    ) -> Answer<pb::TaskPushNotificationConfig> {
        let read = |request| v0::read_create_push(request).map(Asked::CreatePush);
        self.0.whole(Operation::CreatePush, request, read, |_| mismatch()).await
    }

    async fn get_task_push_notification_config(
        &self,
        request: Request<pb::GetTaskPushNotificationConfigRequest>,
    ) -> Answer<pb::TaskPushNotificationConfig> {
        let read = |request| v0::read_get_push(request).map(Asked::GetPush);
        self.0.whole(Operation::GetPush, request, read, |_| mismatch()).await
    }

    async fn list_task_push_notification_config(
        &self,
        request: Request<pb::ListTaskPushNotificationConfigRequest>,
    ) -> Answer<pb::ListTaskPushNotificationConfigResponse> {
        let read = |request| v0::read_list_push(request).map(Asked::ListPush);
        self.0.whole(Operation::ListPush, request, read, |_| mismatch()).await
    }

    async fn delete_task_push_notification_config(
        &self,
        request: Request<pb::DeleteTaskPushNotificationConfigRequest>,
    ) -> Answer<()> {
        let read = |request| v0::read_delete_push(request).map(Asked::DeletePush);
        self.0.whole(Operation::DeletePush, request, read, |_| mismatch()).await
    }

    async fn get_agent_card(
        &self,
        request: Request<pb::GetAgentCardRequest>,
    ) -> Answer<pb::AgentCard> {
        let read = |request| v0::read_extended_card(request).map(Asked::ExtendedCard);
        let write = |outcome: &Outcome| match outcome {
            Outcome::Card(card) => Ok(v0::card(card)),
            _ => mismatch(),
        };
        let request_id = request_id(&request);
        let asked =
            request.extensions().get().and_then(|caller: &Caller| caller.card_address.clone());
        let address = asked.unwrap_or_else(|| self.0.gate().service.own_address());
        match self.0.perform(Operation::ExtendedCard, request, read).await {
            Ok(performed) => self.0.written(performed, request_id, write),
            // Where there is no extended card, the public one is the card that is asked for.
            Err(error @ ProtocolError::ExtendedAgentCardNotConfigured) => {
                self.public_card(&address).await.ok_or_else(|| self.0.status(&error))
            }
            Err(error) => Err(self.0.status(&error)),
        }
    }
}
