//! Unknown resources and unsupported operations get clear errors, and garbage does no harm.

use longhaul_tests::tasks::{
    id, message, reply_to, send, start, state, violations, wait_for_state, with,
};
use longhaul_tests::{Mode, Stack, StackBuilder, on_both_modes};
use serde_json::json;

on_both_modes!(
    unknown_and_malformed_task_ids_are_not_told_apart,
    what_is_not_served_says_so,
    streaming_methods_refuse_in_plain_json,
    garbage_hurts_nobody,
);

const HEALTHY: &str = "the server is as healthy as before";

async fn end(stack: &Stack) {
    assert_eq!(state(&send(&stack.client(), "still there?").await), "COMPLETED", "{HEALTHY}");
    stack.assert_healthy().await;
    stack.assert_no_errors_logged();
}

async fn unknown_and_malformed_task_ids_are_not_told_apart(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let unknown = "018f2f6e-7b7a-7000-8000-000000000001";
    for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
        let first = client.call_error(method, json!({"id": unknown})).await;
        assert_eq!(first.code, -32001);
        assert_eq!(first.data[0]["reason"], "TASK_NOT_FOUND");
        for malformed in [
            "nonsense",
            "018F2F6E-7B7A-7000-8000-000000000001",
            "{}",
            "../../etc",
            "'; drop table tasks; --",
            "00000000-0000-0000-0000-000000000000",
            &"9".repeat(5000),
        ] {
            let error = client.call_error(method, json!({"id": malformed})).await;
            assert_eq!((error.code, &error.message), (first.code, &first.message), "{malformed}");
        }
    }
    let task = start(&client, "!ask").await;
    let shouted = id(&wait_for_state(&client, &id(&task), "INPUT_REQUIRED").await).to_uppercase();
    let error = client.try_call("GetTask", json!({"id": shouted})).await;
    assert!(error.as_ref().err().is_none_or(|error| error.code == -32001), "{error:?}");
    end(&stack).await;
}

async fn what_is_not_served_says_so(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let webhook = json!({"url": "http://127.0.0.1:9/hook"});
    let task = send(&client, "!ask").await;
    let create = with(webhook.clone(), "/taskId", task["id"].clone());
    assert_eq!(client.call_error("CreateTaskPushNotificationConfig", create).await.code, -32003);
    let params = with(message("x"), "/configuration/taskPushNotificationConfig", webhook);
    assert_eq!(client.call_error("SendMessage", params).await.code, -32003);
    for method in ["GetTaskPushNotificationConfig", "DeleteTaskPushNotificationConfig"] {
        let error = client.call_error(method, json!({"taskId": task["id"], "id": "x"})).await;
        assert_eq!(error.code, -32003, "{method}");
    }
    let error =
        client.call_error("ListTaskPushNotificationConfigs", json!({"taskId": task["id"]})).await;
    assert_eq!(error.code, -32003);
    let error = client.call_error("GetExtendedAgentCard", json!({})).await;
    assert!([-32004, -32007].contains(&error.code), "{error:?}");
    end(&stack).await;
}

async fn streaming_methods_refuse_in_plain_json(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let ended = send(&client, "x").await;
    for (method, params, code) in [
        ("SendStreamingMessage", json!({}), -32602),
        ("SendStreamingMessage", reply_to("nonsense", "x"), -32001),
        ("SendStreamingMessage", reply_to(&id(&ended), "x"), -32004),
        ("SubscribeToTask", json!({}), -32602),
        ("SubscribeToTask", json!({"id": "nonsense"}), -32001),
        ("SubscribeToTask", json!({"id": ended["id"]}), -32004),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params});
        let answer =
            client.clone().header("accept", "text/event-stream").post("/", body.to_string()).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(
            (&answer.json()["error"]["code"], &answer.json()["id"]),
            (&json!(code), &json!(5)),
            "{method}"
        );
    }
    let ask = send(&client, "!ask").await;
    for cursor in ["x", "-1", "1.5", "99999999999999999999", "1 2"] {
        let error = client.clone().header("last-event-id", cursor);
        let error = error.call_error("SubscribeToTask", json!({"id": ask["id"]})).await;
        assert_eq!(
            (error.code, violations(&error.data)),
            (-32602, vec!["Last-Event-ID".to_owned()]),
            "{cursor}"
        );
    }
    end(&stack).await;
}

async fn garbage_hurts_nobody(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..300_usize {
        let valid = json!({"jsonrpc": "2.0", "id": round, "method": METHODS[round % METHODS.len()], "params": message("hello \u{1f600}")});
        let mut body = with(valid, "/params/id", json!("x")).to_string().into_bytes();
        for _ in 0..=random.below(4) {
            let at = random.below(body.len());
            match random.below(4) {
                0 => body[at] = u8::try_from(random.below(256)).expect("it is below 256"),
                1 => body.truncate(at.max(1)),
                2 => body.insert(at, b"{}[]\",:\\0\x00\xff-"[random.below(12)]),
                _ => drop(body.remove(at)),
            }
            if body.is_empty() {
                break;
            }
        }
        let answer = client.post("/", body.clone()).await;
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        let json = answer.header("content-type") == "application/json";
        assert!(json || answer.header("content-type") == "text/event-stream", "{shown}");
        assert!(!json || answer.json()["error"]["code"] != -32603, "{shown}: {}", answer.text());
    }
    end(&stack).await;
}

const METHODS: [&str; 4] = ["SendMessage", "ListTasks", "GetTask", "CancelTask"];

/// A pseudo-random sequence that is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("it is below a usize")
    }
}
