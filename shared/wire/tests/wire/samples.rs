//! Sample values with every member set, for tests of names and bytes.

use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, HistoryItem, Json, JsonObject,
    Message, MessageId, OwnerId, Part, Role, Seq, Task, TaskId, TaskKey, TaskState, TaskStatus,
    Timestamp, log::StatusChange,
};
use longhaul_wire::{
    ArtifactEvent, CancelRequest, GetRequest, ListRequest, PushConfig, PushListRequest,
    PushRefRequest, SendRequest, StatusEvent, StreamEvent, SubscribeRequest, TaskPage, TaskRef,
    request::{AuthenticationInfo, ExtendedCardRequest, Secret},
};
use uuid::Uuid;

pub fn task_id() -> TaskId {
    TaskId::new(Uuid::from_u128(0x018f_2f6e_7b7a_7000_8000_0000_0000_0001))
}

pub fn key() -> TaskKey {
    TaskKey { owner: OwnerId(4), task: task_id() }
}

pub fn context() -> ContextId {
    ContextId::new("ctx-1").unwrap()
}

pub fn time() -> Timestamp {
    "2026-02-03T04:05:06.007Z".parse().unwrap()
}

pub fn object(text: &str) -> JsonObject {
    JsonObject::parse(text).unwrap()
}

pub fn parts() -> Vec<Part> {
    let metadata = Some(object(r#"{"page":1.0}"#));
    let named = |part: Part| Part { filename: Some("a.pdf".to_owned()), ..part };
    vec![
        Part { metadata, ..Part::text("grüß \"dich\"\n") },
        named(Part::raw(vec![0u8, 255, 254], "application/pdf")),
        Part::url("https://example.com/a"),
        Part::data(Json::parse(r#"{"n":12345678901234567890,"f":1.0,"z":null}"#).unwrap()),
        Part::data(Json::parse("null").unwrap()),
    ]
}

pub fn message(id: &str, role: Role) -> Message {
    Message {
        metadata: Some(object(r#"{"k":[1,1.0,null]}"#)),
        extensions: vec!["urn:e:1".to_owned()],
        reference_task_ids: vec!["earlier".to_owned()],
        ..Message::new(MessageId::new(id).unwrap(), role, parts())
    }
}

pub fn artifact() -> Artifact {
    Artifact {
        name: Some("Text".to_owned()),
        description: Some("All pages".to_owned()),
        metadata: Some(object(r#"{"pages":2}"#)),
        extensions: vec!["urn:e:2".to_owned()],
        ..Artifact::new(ArtifactId::new("text").unwrap(), vec![Part::text("page 1")])
    }
}

pub fn task() -> Task {
    let agent = AgentName::new("echo").unwrap();
    let mut task = Task::begin(key(), agent, context(), time());
    task.status = TaskStatus {
        state: TaskState::InputRequired,
        message: Some(Message::new(
            MessageId::new("q").unwrap(),
            Role::Agent,
            vec![Part::text("Which?")],
        )),
        at: time(),
        seq: Seq(5),
    };
    task.history = vec![
        HistoryItem { seq: Seq(1), message: message("m1", Role::User) },
        HistoryItem {
            seq: Seq(2),
            message: Message::new(
                MessageId::new("m2").unwrap(),
                Role::Agent,
                vec![Part::text("working on it")],
            ),
        },
    ];
    task.artifacts = vec![artifact()];
    task.metadata = Some(object(r#"{"attempts":1}"#));
    task.last_seq = Seq(5);
    task
}

pub fn bare_task() -> Task {
    Task::begin(key(), AgentName::new("echo").unwrap(), context(), time())
}

pub fn status_event() -> StreamEvent {
    StreamEvent::Status(StatusEvent {
        task: task_id(),
        context: context(),
        change: StatusChange {
            metadata: Some(object(r#"{"progress":0.5}"#)),
            ..StatusChange::with(TaskState::Working, Some(message("s1", Role::Agent)))
        },
        at: time(),
    })
}

pub fn artifact_event() -> StreamEvent {
    StreamEvent::Artifact(ArtifactEvent {
        task: task_id(),
        context: context(),
        update: ArtifactUpdate {
            append: true,
            last_chunk: true,
            metadata: Some(object(r#"{"chunk":3}"#)),
            ..ArtifactUpdate::complete(artifact())
        },
    })
}

pub fn page(include_artifacts: bool) -> TaskPage {
    TaskPage {
        tasks: vec![task(), bare_task()],
        next_page_token: String::new(),
        page_size: 50,
        total_size: 2,
        include_artifacts,
    }
}

pub fn push_config() -> PushConfig {
    PushConfig {
        tenant: Some("t".to_owned()),
        id: Some("p1".to_owned()),
        task: Some(TaskRef::Known(task_id())),
        url: "https://example.com/hook".to_owned(),
        token: Some(Secret::new("tok")),
        authentication: Some(AuthenticationInfo {
            scheme: "Bearer".to_owned(),
            credentials: Some(Secret::new("cred")),
        }),
    }
}

pub fn send_request() -> SendRequest {
    SendRequest {
        tenant: Some("t".to_owned()),
        message: Message { context_id: Some(context()), ..message("m1", Role::User) },
        target: Some(TaskRef::Known(task_id())),
        return_immediately: true,
        history_length: Some(0),
        accepted_output_modes: vec!["text/plain".to_owned()],
        push_config: Some(push_config()),
        metadata: Some(object(r#"{"r":true}"#)),
    }
}

pub fn get_request() -> GetRequest {
    GetRequest { tenant: Some("t".to_owned()), id: task_id().into(), history_length: Some(3) }
}

pub fn list_request() -> ListRequest {
    ListRequest {
        tenant: Some("t".to_owned()),
        context_id: Some(context()),
        status: Some(TaskState::AuthRequired),
        page_size: Some(100),
        page_token: Some("abc".to_owned()),
        history_length: Some(0),
        status_timestamp_after: Some(time()),
        include_artifacts: true,
    }
}

pub fn cancel_request() -> CancelRequest {
    CancelRequest {
        tenant: Some("t".to_owned()),
        id: TaskRef::Malformed("nope".to_owned()),
        metadata: Some(object("{}")),
    }
}

pub fn subscribe_request() -> SubscribeRequest {
    SubscribeRequest { tenant: Some("t".to_owned()), id: task_id().into() }
}

pub fn push_ref() -> PushRefRequest {
    PushRefRequest { tenant: Some("t".to_owned()), task: task_id().into(), id: "p1".to_owned() }
}

pub fn push_list_request() -> PushListRequest {
    PushListRequest {
        tenant: Some("t".to_owned()),
        task: task_id().into(),
        page_size: Some(7),
        page_token: Some("abc".to_owned()),
    }
}

pub fn extended_card_request() -> ExtendedCardRequest {
    ExtendedCardRequest { tenant: Some("t".to_owned()) }
}
