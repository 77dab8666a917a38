//! The SDK and its calls that the scenarios need.

use std::fmt::Debug;
use std::sync::Arc;

use a2a::{
    A2AError, AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
    ListTaskPushNotificationConfigsRequest, ListTasksRequest, ListTasksResponse, Message, Part,
    Role, SendMessageConfiguration, SendMessageRequest, SendMessageResponse, StreamResponse,
    SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use a2a_client::agent_card::AgentCardResolver;
use a2a_client::middleware::CallInterceptor;
use a2a_client::{A2AClient, A2AClientFactory, BoxStream, ServiceParams, Transport};
use a2a_grpc::GrpcTransportFactory;
use async_trait::async_trait;

type Client = A2AClient<Box<dyn Transport>>;
pub type Events = BoxStream<'static, Result<StreamResponse, A2AError>>;

/// A client over one binding.
pub struct Sdk {
    pub card: AgentCard,
    client: Client,
    key: Option<String>,
}

/// Target of a message, and mode of its response.
#[derive(Default, Clone)]
pub struct MessageTarget {
    pub task: Option<String>,
    pub context: Option<String>,
    pub immediately: bool,
}

impl MessageTarget {
    pub fn task(task: &Task) -> Self {
        Self {
            task: Some(task.id.clone()),
            context: Some(task.context_id.clone()),
            ..Self::default()
        }
    }
}

struct Bearer(String);

#[async_trait]
impl CallInterceptor for Bearer {
    async fn before(&self, _method: &str, params: &mut ServiceParams) -> Result<(), A2AError> {
        params.insert("authorization".to_owned(), vec![format!("Bearer {}", self.0)]);
        Ok(())
    }
}

impl Sdk {
    pub async fn new(url: &str, binding: &str, key: Option<String>) -> Result<Self, String> {
        let card = AgentCardResolver::new(None)
            .resolve(url)
            .await
            .map_err(|why| format!("card: {why}"))?;
        let client = connect(&card, Some(binding), key.clone()).await?;
        Ok(Self { card, client, key })
    }

    /// Sends with default settings, given only the card.
    pub async fn send_with_defaults(&self, parts: Vec<Part>) -> Result<Task, A2AError> {
        let client =
            connect(&self.card, None, self.key.clone()).await.map_err(A2AError::internal)?;
        task(client.send_message(&request(parts, MessageTarget::default())).await?)
    }

    pub async fn send(&self, parts: Vec<Part>, to: MessageTarget) -> Result<Task, A2AError> {
        task(self.client.send_message(&request(parts, to)).await?)
    }

    pub async fn stream(&self, parts: Vec<Part>, to: MessageTarget) -> Result<Events, A2AError> {
        self.client.send_streaming_message(&request(parts, to)).await
    }

    pub async fn subscribe(&self, id: &str) -> Result<Events, A2AError> {
        self.client
            .subscribe_to_task(&SubscribeToTaskRequest { id: id.to_owned(), tenant: None })
            .await
    }

    pub async fn get(&self, id: &str, history_length: Option<i32>) -> Result<Task, A2AError> {
        self.client
            .get_task(&GetTaskRequest { id: id.to_owned(), history_length, tenant: None })
            .await
    }

    pub async fn extended(&self) -> Result<AgentCard, A2AError> {
        let request = GetExtendedAgentCardRequest { tenant: None };
        self.client.get_extended_agent_card(&request).await
    }

    pub async fn list(&self, request: &ListTasksRequest) -> Result<ListTasksResponse, A2AError> {
        self.client.list_tasks(request).await
    }

    pub async fn cancel(&self, id: &str) -> Result<Task, A2AError> {
        self.client
            .cancel_task(&CancelTaskRequest { id: id.to_owned(), metadata: None, tenant: None })
            .await
    }
}

const WEBHOOK: &str = "https://example.com/webhook";

impl Sdk {
    /// Calls every operation on push notifications, by name.
    pub async fn push(&self, task: &str) -> [(&'static str, Result<String, A2AError>); 4] {
        let (task_id, id) = (task.to_owned(), "one".to_owned());
        let config = TaskPushNotificationConfig {
            task_id: task_id.clone(),
            id: Some(id.clone()),
            url: WEBHOOK.to_owned(),
            token: None,
            authentication: None,
            tenant: None,
        };
        let get = GetTaskPushNotificationConfigRequest {
            task_id: task_id.clone(),
            id: id.clone(),
            tenant: None,
        };
        let list = ListTaskPushNotificationConfigsRequest {
            task_id: task_id.clone(),
            page_size: None,
            page_token: None,
            tenant: None,
        };
        let delete = DeleteTaskPushNotificationConfigRequest { task_id, id, tenant: None };
        [
            ("create", debug_text(self.client.create_push_config(&config).await)),
            ("get", debug_text(self.client.get_push_config(&get).await)),
            ("list", debug_text(self.client.list_push_configs(&list).await)),
            ("delete", debug_text(self.client.delete_push_config(&delete).await)),
        ]
    }
}

fn debug_text<T: Debug>(answer: Result<T, A2AError>) -> Result<String, A2AError> {
    answer.map(|answer| format!("{answer:?}"))
}

/// Connects over the given binding; without one, the SDK uses its own preference.
async fn connect(
    card: &AgentCard,
    binding: Option<&str>,
    key: Option<String>,
) -> Result<Client, String> {
    let mut card = card.clone();
    card.supported_interfaces
        .retain(|interface| binding.is_none_or(|binding| interface.protocol_binding == binding));
    let mut factory = A2AClientFactory::builder().register(Arc::new(GrpcTransportFactory::new()));
    if let Some(key) = key {
        factory = factory.with_interceptor(Arc::new(Bearer(key)));
    }
    factory.build().create_from_card(&card).await.map_err(|why| format!("client: {why}"))
}

fn request(parts: Vec<Part>, to: MessageTarget) -> SendMessageRequest {
    let message =
        Message { task_id: to.task, context_id: to.context, ..Message::new(Role::User, parts) };
    let configuration = SendMessageConfiguration {
        accepted_output_modes: None,
        task_push_notification_config: None,
        history_length: None,
        return_immediately: Some(to.immediately),
    };
    SendMessageRequest { message, configuration: Some(configuration), metadata: None, tenant: None }
}

fn task(answer: SendMessageResponse) -> Result<Task, A2AError> {
    match answer {
        SendMessageResponse::Task(task) => Ok(task),
        SendMessageResponse::Message(message) => {
            Err(A2AError::internal(format!("a message: {message:?}")))
        }
    }
}
