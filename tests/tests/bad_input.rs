//! A client's invalid input is answered with a clear error and affects nobody else.

use longhaul_tests::tasks::{message, send, state, violations, with};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    invalid_requests_are_rejected_with_their_code,
    a_wrong_parameter_is_named_by_its_path,
    all_wrong_parameters_are_named_at_once,
    text_that_cannot_be_stored_is_rejected_wherever_it_stands,
    lists_and_histories_have_bounds,
    a_body_over_the_limit_is_refused_with_the_limit,
);

const HEALTHY: &str = "the server is as healthy as before";

async fn end(stack: &Stack) {
    assert_eq!(state(&send(&stack.client(), "still there?").await), "COMPLETED", "{HEALTHY}");
    stack.assert_healthy().await;
    stack.assert_no_errors_logged();
}

/// Posts a body and returns the error's code, message and data, and the response's id.
async fn refused(client: &Client, body: &[u8]) -> (i64, String, Value, Value) {
    let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    let answer = client.post("/", body.to_vec()).await;
    assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["jsonrpc"], "2.0", "{shown}: {answer}");
    let error = &answer["error"];
    let code = error["code"].as_i64().unwrap_or_else(|| panic!("{shown} was taken: {answer}"));
    let said = error["message"].as_str().unwrap_or_default().to_owned();
    assert!(!said.is_empty(), "{shown}: {answer}");
    (code, said, error["data"].clone(), answer["id"].clone())
}

async fn invalid_requests_are_rejected_with_their_code(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_params = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{{"id":"x","y":{deep}}}}}"#
    );
    let cases: &[(&[u8], i64, Value, &str)] = &[
        (b"", -32700, json!(null), ""),
        (b"{", -32700, json!(null), ""),
        (b"not json", -32700, json!(null), ""),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ListTasks\"} trailing",
            -32700,
            json!(null),
            "",
        ),
        (b"\xff\xfe{}", -32700, json!(null), "UTF-8"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}", -32700, json!(null), "UTF-8"),
        (b"[]", -32600, json!(null), "batches are not part of A2A"),
        (
            b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ListTasks\"}]",
            -32600,
            json!(null),
            "batches",
        ),
        (b"\"text\"", -32600, json!(null), "object"),
        (b"null", -32600, json!(null), "object"),
        (b"17", -32600, json!(null), "object"),
        (b"{}", -32600, json!(null), ""),
        (br#"{"id":1,"method":"ListTasks"}"#, -32600, json!(1), "2.0"),
        (br#"{"jsonrpc":"1.0","id":1,"method":"ListTasks"}"#, -32600, json!(1), "2.0"),
        (br#"{"jsonrpc":2.0,"id":1,"method":"ListTasks"}"#, -32600, json!(1), "2.0"),
        (br#"{"jsonrpc":"2.0","id":{},"method":"ListTasks"}"#, -32600, json!(null), "id"),
        (br#"{"jsonrpc":"2.0","id":[1],"method":"ListTasks"}"#, -32600, json!(null), "id"),
        (br#"{"jsonrpc":"2.0","id":true,"method":"ListTasks"}"#, -32600, json!(null), "id"),
        (br#"{"jsonrpc":"2.0","id":"a"}"#, -32600, json!("a"), "method"),
        (br#"{"jsonrpc":"2.0","id":"a","method":7}"#, -32600, json!("a"), "method"),
        (br#"{"jsonrpc":"2.0","id":"a","method":""}"#, -32600, json!("a"), "method"),
        (br#"{"jsonrpc":"2.0","id":"a","method":"Nothing"}"#, -32601, json!("a"), "Nothing"),
        (
            br#"{"jsonrpc":"2.0","id":"a","method":"message/send"}"#,
            -32601,
            json!("a"),
            "message/send",
        ),
        (br#"{"jsonrpc":"2.0","id":"a","method":"sendmessage"}"#, -32601, json!("a"), ""),
        (
            br#"{"jsonrpc":"2.0","id":"a","method":"ListTasks","params":[]}"#,
            -32602,
            json!("a"),
            "object",
        ),
        (
            br#"{"jsonrpc":"2.0","id":"a","method":"ListTasks","params":"x"}"#,
            -32602,
            json!("a"),
            "object",
        ),
        (deep.as_bytes(), -32600, json!(null), ""),
        (deep_params.as_bytes(), -32602, json!(1), "64"),
    ];
    for (body, code, id, says) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let (got, said, _, answered) = refused(&client, body).await;
        assert!(
            got == *code || (*body == deep.as_bytes() && got == -32700),
            "{shown}: {got} {said}"
        );
        assert!(said.contains(says), "{shown}: {said}");
        assert_eq!(answered, *id, "{shown}");
    }
    end(&stack).await;
}

async fn a_wrong_parameter_is_named_by_its_path(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let good = message("x");
    let part = |part: Value| with(good.clone(), "/message/parts", json!([{"text": "ok"}, part]));
    for (params, path) in [
        (json!({}), "message"),
        (json!({"message": null}), "message"),
        (json!({"message": "hello"}), "message"),
        (with(good.clone(), "/message/parts", json!([])), "message.parts"),
        (with(good.clone(), "/message/parts", json!(null)), "message.parts"),
        (with(good.clone(), "/message/parts", json!({"text": "x"})), "message.parts"),
        (part(json!({})), "message.parts[1]"),
        (part(json!({"filename": "a"})), "message.parts[1]"),
        (part(json!({"text": "a", "raw": "YQ=="})), "message.parts[1]"),
        (part(json!({"text": "a", "data": {}})), "message.parts[1]"),
        (part(json!({"text": 5})), "message.parts[1].text"),
        (part(json!({"raw": "*not base64*"})), "message.parts[1].raw"),
        (part(json!({"url": ""})), "message.parts[1].url"),
        (part(json!({"text": "a", "metadata": 1})), "message.parts[1].metadata"),
        (with(good.clone(), "/message/role", json!("ROLE_AGENT")), "message.role"),
        (with(good.clone(), "/message/role", json!("ROLE_UNSPECIFIED")), "message.role"),
        (with(good.clone(), "/message/role", json!(0)), "message.role"),
        (with(good.clone(), "/message/role", json!("boss")), "message.role"),
        (with(good.clone(), "/message/role", json!(null)), "message.role"),
        (with(good.clone(), "/message/messageId", json!("")), "message.messageId"),
        (with(good.clone(), "/message/messageId", json!(null)), "message.messageId"),
        (with(good.clone(), "/message/messageId", json!(["m"])), "message.messageId"),
        (with(good.clone(), "/message/contextId", json!("c".repeat(300))), "message.contextId"),
        (with(good.clone(), "/message/metadata", json!("x")), "message.metadata"),
        (with(good.clone(), "/configuration", json!([])), "configuration"),
        (
            with(good.clone(), "/configuration/historyLength", json!(-1)),
            "configuration.historyLength",
        ),
        (
            with(good.clone(), "/configuration/returnImmediately", json!("maybe")),
            "configuration.returnImmediately",
        ),
        (with(good.clone(), "/tenant", json!(3)), "tenant"),
    ] {
        for method in ["SendMessage", "SendStreamingMessage"] {
            let error = client.call_error(method, params.clone()).await;
            assert_eq!(error.code, -32602, "{params}");
            assert_eq!(violations(&error.data), [path], "{params}: {error:?}");
            assert!(error.message.contains(path), "the message names it too: {error:?}");
        }
    }
    assert_eq!(client.call("ListTasks", json!({})).await["totalSize"], 0, "no task was made");
    end(&stack).await;
}

async fn all_wrong_parameters_are_named_at_once(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let params = json!({
        "tenant": 1,
        "message": {"role": "x", "parts": [{}, {"text": "ok"}, {"raw": "*"}]},
        "configuration": {"historyLength": -1},
    });
    let error = stack.client().call_error("SendMessage", params).await;
    let paths = violations(&error.data);
    for path in [
        "tenant",
        "message.messageId",
        "message.role",
        "message.parts[0]",
        "message.parts[2].raw",
        "configuration.historyLength",
    ] {
        assert!(paths.iter().any(|named| named == path), "{path} is not among {paths:?}");
    }
    let many = with(message("x"), "/message/parts", json!(vec![json!({}); 5000]));
    let error = stack.client().call_error("SendMessage", many).await;
    assert!(violations(&error.data).len() < 200, "the list of mistakes is bounded");
    end(&stack).await;
}

async fn text_that_cannot_be_stored_is_rejected_wherever_it_stands(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for bad in [r"a\u0000b", r"\ud800", r"\udc00\ud800", r"\ud83d x"] {
        for params in [
            format!(
                r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"{bad}"}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m{bad}","role":"ROLE_USER","parts":[{{"text":"t"}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m","contextId":"{bad}","role":"ROLE_USER","parts":[{{"text":"t"}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"data":{{"k":"{bad}"}}}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"data":{{"{bad}":1}}}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"t","metadata":{{"k":"{bad}"}}}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"t","filename":"{bad}"}}]}}}}"#
            ),
            format!(
                r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"url":"http://h/{bad}"}}]}}}}"#
            ),
            format!(
                r#"{{"metadata":{{"k":"{bad}"}},"message":{{"messageId":"m","role":"ROLE_USER","parts":[{{"text":"t"}}]}}}}"#
            ),
        ] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{params}}}"#);
            let (code, said, ..) = refused(&client, body.as_bytes()).await;
            assert!([-32602, -32700].contains(&code), "{params}: {code} {said}");
        }
        for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"id":"{bad}"}}}}"#
            );
            let (code, ..) = refused(&client, body.as_bytes()).await;
            assert!([-32602, -32700].contains(&code), "{method}: {code}");
        }
    }
    let nested = |depth: usize| {
        let data = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{{"message":{{"messageId":"d{depth}","role":"ROLE_USER","parts":[{{"data":{data}}}]}}}}}}"#
        )
    };
    for depth in [31, 65, 200, 20_000] {
        let (code, said, ..) = refused(&client, nested(depth).as_bytes()).await;
        assert_eq!(code, -32602, "{depth} levels: {said}");
    }
    let taken = client.post("/", nested(30)).await.json();
    assert_eq!(state(&taken["result"]["task"]), "COMPLETED", "what is within the limit is kept");
    end(&stack).await;
}

async fn lists_and_histories_have_bounds(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let known = send(&client, "x").await;
    for (method, params, path) in [
        ("ListTasks", json!({"pageSize": 0}), "pageSize"),
        ("ListTasks", json!({"pageSize": 101}), "pageSize"),
        ("ListTasks", json!({"pageSize": -1}), "pageSize"),
        ("ListTasks", json!({"pageSize": 1.5}), "pageSize"),
        ("ListTasks", json!({"pageSize": "many"}), "pageSize"),
        ("ListTasks", json!({"pageToken": "x"}), "pageToken"),
        (
            "ListTasks",
            json!({"pageToken": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            "pageToken",
        ),
        ("ListTasks", json!({"historyLength": -1}), "historyLength"),
        ("ListTasks", json!({"historyLength": 99_999_999_999_i64}), "historyLength"),
        ("ListTasks", json!({"status": "DONE"}), "status"),
        ("ListTasks", json!({"statusTimestampAfter": "yesterday"}), "statusTimestampAfter"),
        ("ListTasks", json!({"contextId": "c".repeat(300)}), "contextId"),
        ("GetTask", json!({"id": known["id"], "historyLength": -1}), "historyLength"),
        ("GetTask", json!({}), "id"),
        ("GetTask", json!({"id": ""}), "id"),
        ("GetTask", json!({"id": 7}), "id"),
        ("CancelTask", json!({"id": null}), "id"),
        ("SubscribeToTask", json!({}), "id"),
    ] {
        let error = client.call_error(method, params.clone()).await;
        assert_eq!(
            (error.code, violations(&error.data)),
            (-32602, vec![path.to_owned()]),
            "{method} {params}"
        );
    }
    for (low, high) in [(json!(1), json!(100)), (json!("5"), json!(7.0))] {
        client.call("ListTasks", json!({"pageSize": low})).await;
        client.call("ListTasks", json!({"pageSize": high})).await;
    }
    for extreme in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2016-12-31T23:59:60Z"] {
        let answer = client.try_call("ListTasks", json!({"statusTimestampAfter": extreme})).await;
        assert!(
            answer.as_ref().err().is_none_or(|error| error.code == -32602),
            "{extreme}: {answer:?}"
        );
    }
    let huge =
        client.call("GetTask", json!({"id": known["id"], "historyLength": 2_147_483_647})).await;
    assert_eq!(huge["id"], known["id"]);
    end(&stack).await;
}

async fn a_body_over_the_limit_is_refused_with_the_limit(mode: Mode) {
    let stack = StackBuilder::new(mode).set("server.max_body_bytes", "20000").start().await;
    let client = stack.client();
    let fits = send(&client, &"x".repeat(15_000)).await;
    assert_eq!(state(&fits), "COMPLETED");
    for size in [20_001, 200_000, 5_000_000] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message(&"x".repeat(size))});
        let (code, said, data, _) = refused(&client, body.to_string().as_bytes()).await;
        assert_eq!(code, -32600, "{said}");
        assert!(said.contains("20000"), "{said}");
        assert_eq!(data[0]["metadata"]["limitBytes"], "20000");
    }
    end(&stack).await;
}
