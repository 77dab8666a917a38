//! gRPC requests equal their JSON form.

use crate::{peer, samples, strategies as any_of};
use longhaul_proto::{pb, v0, v1};
use longhaul_wire::{
    CancelRequest, GetRequest, PushConfig, PushConfigRequest, PushListRequest, PushRefRequest,
    SendRequest, SubscribeRequest,
    v0::{LegacyForm, V0},
    v1::V1,
};
use proptest::prelude::*;

const V1_SEND: &str = "lf.a2a.v1.SendMessageRequest";
const V0_SEND: &str = "a2a.v1.SendMessageRequest";

fn old<T: ?Sized>(value: &T) -> V0<'_, T> {
    V0::new(LegacyForm::V0_3Proto, value)
}

/// Sends a request through gRPC 1.0 and returns it in both implementations.
fn through_v1(sent: &SendRequest) -> (peer::PeerMessage, SendRequest) {
    let peer_message = peer::from_json(V1_SEND, &V1(sent));
    let read = v1::read_send(peer_message.to_ours()).expect("valid");
    (peer_message, read)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sends_survive_in_1_0(sent in any_of::send_request()) {
        let (peer_message, read) = through_v1(&sent);
        prop_assert_eq!(peer::from_json(V1_SEND, &V1(&read)), peer_message);
        prop_assert_eq!(read.target, sent.target);
        prop_assert_eq!(read.history_length, sent.history_length);
        prop_assert_eq!(read.push_config, sent.push_config);
        prop_assert_eq!(read.message.message_id, sent.message.message_id);
    }

    #[test]
    fn requests_about_tasks_survive_in_1_0(
        get in any_of::get_request(),
        list in any_of::list_request(),
        cancel in any_of::cancel_request(),
    ) {
        let peer_message = peer::from_json("lf.a2a.v1.GetTaskRequest", &V1(&get));
        prop_assert_eq!(v1::read_get(peer_message.to_ours()).unwrap(), get);
        let peer_message = peer::from_json("lf.a2a.v1.ListTasksRequest", &V1(&list));
        prop_assert_eq!(v1::read_list(peer_message.to_ours()).unwrap(), list);
        let name = "lf.a2a.v1.CancelTaskRequest";
        let peer_message = peer::from_json(name, &V1(&cancel));
        let read = v1::read_cancel(peer_message.to_ours()).unwrap();
        prop_assert_eq!(peer::from_json(name, &V1(&read)), peer_message);
        prop_assert_eq!((read.tenant, read.id), (cancel.tenant, cancel.id));
    }

    #[test]
    fn sends_survive_in_0_3(sent in any_of::send_request()) {
        let peer_message = peer::from_json(V0_SEND, &old(&sent));
        let read = v0::read_send(peer_message.to_ours()).expect("valid");
        prop_assert_eq!(peer::from_json(V0_SEND, &old(&read)), peer_message);
        prop_assert_eq!(read.target, sent.target);
        // Protobuf cannot express 0, which means all.
        prop_assert_eq!(read.history_length, sent.history_length.filter(|length| *length > 0));
        prop_assert!(read.tenant.is_none());
    }

    #[test]
    fn webhooks_survive(config in any_of::push_config(), task in any_of::task_id()) {
        let config = PushConfig { task: Some(task.into()), ..config };
        let request = PushConfigRequest { task: task.into(), config: config.clone() };
        let peer_message = peer::from_json("lf.a2a.v1.TaskPushNotificationConfig", &V1(&config));
        prop_assert_eq!(v1::read_create_push(peer_message.to_ours()).unwrap(), request.clone());
        let ours = v1::push_config(&config);
        prop_assert_eq!(peer::from_ours("lf.a2a.v1.TaskPushNotificationConfig", &ours), peer_message);

        let config = PushConfig { tenant: None, ..config };
        let request = PushConfigRequest { config: config.clone(), ..request };
        let name = "a2a.v1.CreateTaskPushNotificationConfigRequest";
        let peer_message = peer::from_json(name, &old(&request));
        prop_assert_eq!(v0::read_create_push(peer_message.to_ours()).unwrap(), request);
        let peer_message = peer::from_json("a2a.v1.TaskPushNotificationConfig", &old(&config));
        let ours = v0::push_config(&config);
        prop_assert_eq!(peer::from_ours("a2a.v1.TaskPushNotificationConfig", &ours), peer_message);
    }
}

#[test]
fn references_to_tasks_and_webhooks_equal_their_json_form() {
    let one = samples::push_ref();
    let peer_message = peer::from_json("lf.a2a.v1.GetTaskPushNotificationConfigRequest", &V1(&one));
    assert_eq!(v1::read_get_push(peer_message.to_ours()).unwrap(), one);
    assert_eq!(v1::read_delete_push(peer_message.to_ours()).unwrap(), one);
    let list = samples::push_list_request();
    let peer_message =
        peer::from_json("lf.a2a.v1.ListTaskPushNotificationConfigsRequest", &V1(&list));
    assert_eq!(v1::read_list_push(peer_message.to_ours()).unwrap(), list);
    let subscribe = samples::subscribe_request();
    let peer_message = peer::from_json("lf.a2a.v1.SubscribeToTaskRequest", &V1(&subscribe));
    assert_eq!(v1::read_subscribe(peer_message.to_ours()).unwrap(), subscribe);
    let card = samples::extended_card_request();
    let peer_message = peer::from_json("lf.a2a.v1.GetExtendedAgentCardRequest", &V1(&card));
    assert_eq!(v1::read_extended_card(peer_message.to_ours()).unwrap(), card);
}

#[test]
fn resource_names_of_0_3_equal_their_json_form() {
    let one = PushRefRequest { tenant: None, ..samples::push_ref() };
    let peer_message = peer::from_json("a2a.v1.GetTaskPushNotificationConfigRequest", &old(&one));
    assert_eq!(v0::read_get_push(peer_message.to_ours()).unwrap(), one);
    assert_eq!(v0::read_delete_push(peer_message.to_ours()).unwrap(), one);
    let list = PushListRequest { tenant: None, ..samples::push_list_request() };
    let peer_message = peer::from_json("a2a.v1.ListTaskPushNotificationConfigRequest", &old(&list));
    assert_eq!(v0::read_list_push(peer_message.to_ours()).unwrap(), list);
    let get = GetRequest { tenant: None, ..samples::get_request() };
    let peer_message = peer::from_json("a2a.v1.GetTaskRequest", &old(&get));
    assert_eq!(v0::read_get(peer_message.to_ours()).unwrap(), get);
    let subscribe = SubscribeRequest { tenant: None, ..samples::subscribe_request() };
    let peer_message = peer::from_json("a2a.v1.TaskSubscriptionRequest", &old(&subscribe));
    assert_eq!(v0::read_subscribe(peer_message.to_ours()).unwrap(), subscribe);
    let cancel = CancelRequest { tenant: None, metadata: None, ..samples::cancel_request() };
    let peer_message = peer::from_json("a2a.v1.CancelTaskRequest", &old(&cancel));
    assert_eq!(v0::read_cancel(peer_message.to_ours()).unwrap(), cancel);
}

#[test]
fn a_send_of_0_3_waits_unless_its_configuration_omits_blocking() {
    let send = |configuration| {
        let message = pb::v0::Message {
            message_id: "m".to_owned(),
            role: pb::v1::Role::User as i32,
            content: vec![pb::v0::Part {
                part: Some(pb::v0::part::Part::Text("hi".to_owned())),
                metadata: None,
            }],
            ..Default::default()
        };
        let request =
            pb::v0::SendMessageRequest { request: Some(message), configuration, metadata: None };
        v0::read_send(request).unwrap().return_immediately
    };
    let blocking =
        |blocking| Some(pb::v0::SendMessageConfiguration { blocking, ..Default::default() });
    assert!(!send(None));
    assert!(send(blocking(false)));
    assert!(!send(blocking(true)));
}
