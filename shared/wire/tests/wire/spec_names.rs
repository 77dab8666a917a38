//! Member names compared with the specification's protobuf file, which is stored here as a list.

use crate::{card, samples};
use longhaul_domain::{Role, TaskState};
use longhaul_wire::{
    SendOutcome, StreamEvent,
    v1::{PushList, V1, role_name, state_name},
    write::to_vec,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Types of members that are messages, by `Message.member`; all others are scalars or free JSON.
const MESSAGE_MEMBERS: &[(&str, &str)] = &[
    ("SendMessageRequest.message", "Message"),
    ("SendMessageRequest.configuration", "SendMessageConfiguration"),
    ("SendMessageConfiguration.taskPushNotificationConfig", "TaskPushNotificationConfig"),
    ("TaskPushNotificationConfig.authentication", "AuthenticationInfo"),
    ("ListTaskPushNotificationConfigsResponse.configs", "TaskPushNotificationConfig"),
    ("Message.parts", "Part"),
    ("Artifact.parts", "Part"),
    ("Task.status", "TaskStatus"),
    ("Task.artifacts", "Artifact"),
    ("Task.history", "Message"),
    ("TaskStatus.message", "Message"),
    ("TaskStatusUpdateEvent.status", "TaskStatus"),
    ("TaskArtifactUpdateEvent.artifact", "Artifact"),
    ("SendMessageResponse.task", "Task"),
    ("SendMessageResponse.message", "Message"),
    ("StreamResponse.task", "Task"),
    ("StreamResponse.message", "Message"),
    ("StreamResponse.statusUpdate", "TaskStatusUpdateEvent"),
    ("StreamResponse.artifactUpdate", "TaskArtifactUpdateEvent"),
    ("ListTasksResponse.tasks", "Task"),
    ("AgentCard.supportedInterfaces", "AgentInterface"),
    ("AgentCard.provider", "AgentProvider"),
    ("AgentCard.capabilities", "AgentCapabilities"),
    ("AgentCard.securityRequirements", "SecurityRequirement"),
    ("AgentCard.skills", "AgentSkill"),
    ("AgentCard.signatures", "AgentCardSignature"),
    ("AgentCapabilities.extensions", "AgentExtension"),
    ("AgentSkill.securityRequirements", "SecurityRequirement"),
    ("SecurityScheme.apiKeySecurityScheme", "APIKeySecurityScheme"),
    ("SecurityScheme.httpAuthSecurityScheme", "HTTPAuthSecurityScheme"),
    ("SecurityScheme.oauth2SecurityScheme", "OAuth2SecurityScheme"),
    ("SecurityScheme.openIdConnectSecurityScheme", "OpenIdConnectSecurityScheme"),
    ("SecurityScheme.mtlsSecurityScheme", "MutualTlsSecurityScheme"),
    ("OAuth2SecurityScheme.flows", "OAuthFlows"),
    ("OAuthFlows.authorizationCode", "AuthorizationCodeOAuthFlow"),
    ("OAuthFlows.clientCredentials", "ClientCredentialsOAuthFlow"),
    ("OAuthFlows.implicit", "ImplicitOAuthFlow"),
    ("OAuthFlows.password", "PasswordOAuthFlow"),
    ("OAuthFlows.deviceCode", "DeviceCodeOAuthFlow"),
];

/// Members that are maps to messages.
const MAP_MEMBERS: &[(&str, &str)] = &[
    ("AgentCard.securitySchemes", "SecurityScheme"),
    ("SecurityRequirement.schemes", "StringList"),
];

/// Members of the specification that are not supported. None.
const UNSUPPORTED_MEMBERS: &[&str] = &[];

#[derive(serde::Deserialize)]
struct Spec {
    messages: BTreeMap<String, BTreeSet<String>>,
    enums: BTreeMap<String, BTreeMap<String, i64>>,
}

fn spec() -> Spec {
    serde_json::from_str(include_str!("../spec/v1_fields.json")).unwrap()
}

#[derive(Default)]
struct WrittenNames(BTreeSet<(String, String)>);

impl WrittenNames {
    fn write(&mut self, message: &str, value: &impl Serialize) {
        let value = serde_json::from_slice(&to_vec(value).unwrap()).unwrap();
        self.walk(message, &value);
    }

    fn walk(&mut self, message: &str, value: &Value) {
        match value {
            Value::Array(list) => list.iter().for_each(|value| self.walk(message, value)),
            Value::Object(members) => {
                for (name, value) in members {
                    self.0.insert((message.to_owned(), name.clone()));
                    let path = format!("{message}.{name}");
                    let found = |table: &[(&str, &'static str)]| {
                        table.iter().find(|(of, _)| *of == path).map(|(_, nested)| *nested)
                    };
                    if let Some(nested) = found(MESSAGE_MEMBERS) {
                        self.walk(nested, value);
                    } else if let (Some(nested), Some(map)) =
                        (found(MAP_MEMBERS), value.as_object())
                    {
                        map.values().for_each(|value| self.walk(nested, value));
                    }
                }
            }
            other => panic!("{message} is written as {other}"),
        }
    }
}

/// Names that the crate writes, with every member set.
fn written_names() -> BTreeSet<(String, String)> {
    let mut seen = WrittenNames::default();
    seen.write("SendMessageRequest", &V1(&samples::send_request()));
    seen.write("GetTaskRequest", &V1(&samples::get_request()));
    seen.write("ListTasksRequest", &V1(&samples::list_request()));
    seen.write("CancelTaskRequest", &V1(&samples::cancel_request()));
    seen.write("SubscribeToTaskRequest", &V1(&samples::subscribe_request()));
    seen.write("GetTaskPushNotificationConfigRequest", &V1(&samples::push_ref()));
    seen.write("DeleteTaskPushNotificationConfigRequest", &V1(&samples::push_ref()));
    seen.write("ListTaskPushNotificationConfigsRequest", &V1(&samples::push_list_request()));
    seen.write("GetExtendedAgentCardRequest", &V1(&samples::extended_card_request()));
    seen.write("TaskPushNotificationConfig", &V1(&samples::push_config()));
    let list =
        PushList { configs: vec![samples::push_config()], next_page_token: "next".to_owned() };
    seen.write("ListTaskPushNotificationConfigsResponse", &V1(&list));
    seen.write("ListTasksResponse", &V1(&samples::page(true)));
    let message = samples::message("m", Role::Agent);
    for outcome in
        [SendOutcome::Task(Box::new(samples::task())), SendOutcome::Message(message.clone())]
    {
        seen.write("SendMessageResponse", &V1(&outcome));
    }
    for event in [
        StreamEvent::Task(Box::new(samples::task())),
        StreamEvent::Message(message),
        samples::status_event(),
        samples::artifact_event(),
    ] {
        seen.write("StreamResponse", &V1(&event));
    }
    seen.write("AgentCard", &card::full());
    seen.0
}

#[test]
fn every_written_name_is_in_the_specification() {
    let spec = spec();
    for (message, name) in written_names() {
        assert!(spec.messages[&message].contains(&name), "{message}.{name}");
    }
}

#[test]
fn every_name_of_the_specification_is_supported() {
    let seen = written_names();
    for (message, names) in spec().messages {
        for name in names {
            // A name must be supported or listed, never both.
            let listed = UNSUPPORTED_MEMBERS.contains(&format!("{message}.{name}").as_str());
            let served = seen.contains(&(message.clone(), name.clone()));
            assert!(served != listed, "{message}.{name}");
        }
    }
}

#[test]
fn enums_have_the_names_and_numbers_of_the_specification() {
    let spec = spec();
    let states: BTreeMap<String, i64> = TaskState::ALL
        .into_iter()
        .map(|state| (state_name(state).to_owned(), i64::from(state.number())))
        .chain([("TASK_STATE_UNSPECIFIED".to_owned(), 0)])
        .collect();
    assert_eq!(spec.enums["TaskState"], states);
    let roles: BTreeMap<String, i64> =
        [("ROLE_UNSPECIFIED", 0), (role_name(Role::User), 1), (role_name(Role::Agent), 2)]
            .into_iter()
            .map(|(name, number)| (name.to_owned(), number))
            .collect();
    assert_eq!(spec.enums["Role"], roles);
}
