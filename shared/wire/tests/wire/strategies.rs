//! Strategies for arbitrary domain values.

use longhaul_domain::{
    AgentName, Artifact, ArtifactId, ArtifactUpdate, ContextId, HistoryItem, Json, JsonObject,
    Message, MessageId, OwnerId, Part, Role, Seq, Task, TaskId, TaskKey, TaskState, TaskStatus,
    Timestamp, log::StatusChange,
};
use longhaul_wire::{
    ArtifactEvent, CancelRequest, GetRequest, ListRequest, PushConfig, SendRequest, StatusEvent,
    TaskRef,
    request::{AuthenticationInfo, Secret},
};
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

pub fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\u{0}]{0,12}", Just("\u{1F600}\"\\\n\u{1}".to_owned())]
}

fn filled() -> impl Strategy<Value = String> {
    "[^\u{0}]{1,8}"
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.0".to_owned()),
        Just("-12345678901234567890123".to_owned()),
        Just("1e400".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        text().prop_map(|t| serde_json::to_string(&t).expect("text is JSON")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|list| format!("[{}]", list.join(","))),
            members(inner),
        ]
    })
}

fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec((text(), value), 0..3).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| {
                format!("{}:{value}", serde_json::to_string(&name).expect("text is JSON"))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

pub fn json() -> impl Strategy<Value = Json> {
    json_text().prop_map(|text| Json::parse(&text).expect("made as JSON"))
}

pub fn object() -> impl Strategy<Value = JsonObject> {
    members(json_text()).prop_map(|text| JsonObject::parse(&text).expect("made as an object"))
}

pub fn part() -> impl Strategy<Value = Part> {
    let content = prop_oneof![
        text().prop_map(Part::text),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Part::raw(bytes, "a/b")),
        filled().prop_map(Part::url),
        json().prop_map(Part::data),
    ];
    (content, option::of(object()), option::of(filled()), option::of(filled())).prop_map(
        |(part, metadata, filename, media_type)| Part { metadata, filename, media_type, ..part },
    )
}

pub fn task_id() -> impl Strategy<Value = TaskId> {
    any::<u128>().prop_map(|id| TaskId::new(Uuid::from_u128(id)))
}

pub fn context() -> impl Strategy<Value = ContextId> {
    filled().prop_map(|id| ContextId::new(id).expect("filled"))
}

fn target() -> impl Strategy<Value = TaskRef> {
    prop_oneof![task_id().prop_map(TaskRef::Known), filled().prop_map(TaskRef::Malformed)]
}

pub fn time() -> impl Strategy<Value = Timestamp> {
    // Years 1 to 9999, the range of protobuf timestamps, in whole milliseconds.
    (-62_135_596_800_000..253_402_300_800_000i64)
        .prop_map(|ms| Timestamp::from_timestamp_millis(ms).expect("within range"))
}

fn state() -> impl Strategy<Value = TaskState> {
    proptest::sample::select(TaskState::ALL.to_vec())
}

pub fn message() -> impl Strategy<Value = Message> {
    let ids = (filled(), option::of(context()), option::of(task_id()), any::<bool>());
    let rest = (vec(part(), 1..4), option::of(object()), vec(text(), 0..2), vec(text(), 0..2));
    (ids, rest).prop_map(|((id, context_id, task_id, user), rest)| Message {
        message_id: MessageId::new(id).expect("filled"),
        context_id,
        task_id,
        role: if user { Role::User } else { Role::Agent },
        parts: rest.0,
        metadata: rest.1,
        extensions: rest.2,
        reference_task_ids: rest.3,
    })
}

pub fn artifact() -> impl Strategy<Value = Artifact> {
    let about = (option::of(filled()), option::of(filled()), option::of(object()));
    (filled(), vec(part(), 0..3), about, vec(text(), 0..2)).prop_map(
        |(id, parts, (name, description, metadata), extensions)| Artifact {
            artifact_id: ArtifactId::new(id).expect("filled"),
            name,
            description,
            parts,
            metadata,
            extensions,
        },
    )
}

pub fn task() -> impl Strategy<Value = Task> {
    let key = (any::<i32>(), task_id()).prop_map(|(o, task)| TaskKey { owner: OwnerId(o), task });
    let status = (state(), option::of(message()), time());
    let rest = (vec(message(), 0..3), vec(artifact(), 0..3), option::of(object()));
    (key, context(), status, rest).prop_map(|(key, context, (state, said, at), rest)| {
        let agent = AgentName::new("any").expect("a name");
        let mut task = Task::begin(key, agent, context, at);
        task.status = TaskStatus { state, message: said, at, seq: Seq(9) };
        task.history =
            rest.0.into_iter().map(|message| HistoryItem { seq: Seq(1), message }).collect();
        task.artifacts = rest.1;
        task.metadata = rest.2;
        task
    })
}

pub fn status_event() -> impl Strategy<Value = StatusEvent> {
    let change = (state(), option::of(message()), option::of(object())).prop_map(
        |(state, message, metadata)| StatusChange {
            state,
            message,
            metadata,
            direct: false,
            failed: None,
        },
    );
    (task_id(), context(), change, time()).prop_map(|(task, context, change, at)| StatusEvent {
        task,
        context,
        change,
        at,
    })
}

pub fn artifact_event() -> impl Strategy<Value = ArtifactEvent> {
    let update = (artifact(), any::<bool>(), any::<bool>(), option::of(object())).prop_map(
        |(artifact, append, last_chunk, metadata)| ArtifactUpdate {
            artifact,
            append,
            last_chunk,
            metadata,
        },
    );
    (task_id(), context(), update).prop_map(|(task, context, update)| ArtifactEvent {
        task,
        context,
        update,
    })
}

pub fn push_config() -> impl Strategy<Value = PushConfig> {
    let authentication = (filled(), option::of(filled())).prop_map(|(scheme, credentials)| {
        AuthenticationInfo { scheme, credentials: credentials.map(Secret::new) }
    });
    (option::of(filled()), option::of(target()), option::of(filled()), option::of(authentication))
        .prop_map(|(id, task, token, authentication)| PushConfig {
            tenant: id.clone(),
            id,
            task,
            url: "https://h.example/x?y".to_owned(),
            token: token.map(Secret::new),
            authentication,
        })
}

fn count() -> impl Strategy<Value = Option<u32>> {
    option::of(0..=i32::MAX.unsigned_abs())
}

pub fn send_request() -> impl Strategy<Value = SendRequest> {
    let of_message = (message(), option::of(target()), option::of(filled()));
    let rest = (
        any::<bool>(),
        count(),
        vec(text(), 0..3),
        option::of(push_config()),
        option::of(object()),
    );
    (of_message, rest).prop_map(|((message, target, tenant), rest)| SendRequest {
        tenant,
        message: Message { role: Role::User, task_id: None, ..message },
        target,
        return_immediately: rest.0,
        history_length: rest.1,
        accepted_output_modes: rest.2,
        push_config: rest.3,
        metadata: rest.4,
    })
}

pub fn get_request() -> impl Strategy<Value = GetRequest> {
    (option::of(filled()), target(), count()).prop_map(|(tenant, id, history_length)| GetRequest {
        tenant,
        id,
        history_length,
    })
}

pub fn cancel_request() -> impl Strategy<Value = CancelRequest> {
    (option::of(filled()), target(), option::of(object()))
        .prop_map(|(tenant, id, metadata)| CancelRequest { tenant, id, metadata })
}

pub fn list_request() -> impl Strategy<Value = ListRequest> {
    let filter = (option::of(context()), option::of(state()), option::of(time()));
    (filter, option::of(1..=100u32), option::of(filled()), count(), any::<bool>()).prop_map(
        |(filter, page_size, token, history_length, include_artifacts)| ListRequest {
            tenant: token.clone(),
            context_id: filter.0,
            status: filter.1,
            page_size,
            page_token: token,
            history_length,
            status_timestamp_after: filter.2,
            include_artifacts,
        },
    )
}
