//! Declarations of agents: extensions, which clients may or must activate, and cards that are
//! public, restricted, or for one protocol version.

use longhaul_tests::tasks::{
    get, id, message, reply_to, return_immediately, send, state, task_of, with,
};
use longhaul_tests::{Client, Mode, Stack, StackBuilder, on_both_modes};
use serde_json::{Value, json};

on_both_modes!(
    a_card_declares_an_agents_extensions_beside_ours,
    a_required_extension_is_required_of_every_sender,
    what_is_activated_is_named_in_the_answer_and_kept_with_the_message,
    an_extended_card_requires_a_key,
    without_keys_a_setting_gives_an_extended_card,
    a_card_is_for_clients_of_both_versions_unless_one_is_asked_for,
    without_0_3_neither_cards_nor_calls_know_it,
);

const PLACE: &str = "https://a.example/place/v1";
const UNITS: &str = "urn:example:units:v1";
const DURABILITY: &str = "urn:longhaul:a2a:durability:v1";

const PLACES: &str = r#"name = "places"
executor = "echo"
[[agent.skill]]
id = "near"
name = "Near"
[[agent.skill]]
id = "far"
name = "Far"
extended = true
[[agent.extension]]
uri = "https://a.example/place/v1"
description = "Where the caller is"
required = true
params = { accuracy = "m", most = 1.5 }
[[agent.extension]]
uri = "urn:example:units:v1""#;

fn places(mode: Mode) -> StackBuilder {
    StackBuilder::new(mode).agent(PLACES)
}

fn at(stack: &Stack) -> Client {
    stack.client().rpc_path("/agents/places")
}

async fn card(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn skills(card: &Value) -> Vec<&str> {
    let skills = card["skills"].as_array().expect("a card has skills");
    skills.iter().map(|skill| skill["id"].as_str().expect("a skill has an id")).collect()
}

async fn a_card_declares_an_agents_extensions_beside_ours(mode: Mode) {
    let stack = places(mode).start().await;
    let card = card(&stack.client(), "/agents/places/.well-known/agent-card.json").await;
    let extensions = card["capabilities"]["extensions"].as_array().expect("there are some");
    assert_eq!(extensions.len(), 4, "{extensions:?}");
    assert_eq!(extensions[1]["uri"], DURABILITY);
    let place = json!({"uri": PLACE, "description": "Where the caller is", "required": true,
        "params": {"accuracy": "m", "most": 1.5}});
    assert_eq!(extensions[2], place);
    assert_eq!(extensions[3], json!({"uri": UNITS}));
}

async fn a_required_extension_is_required_of_every_sender(mode: Mode) {
    let stack = places(mode).start().await;
    let plain = at(&stack);
    let known = plain.clone().header("a2a-extensions", PLACE);
    let other = plain.clone().header("a2a-extensions", "https://a.example/place/v0, urn:x");
    for client in [&plain, &other] {
        for method in ["SendMessage", "SendStreamingMessage"] {
            let error = client.call_error(method, message("hello")).await;
            assert_eq!(error.code, -32008, "{error:?}");
            assert!(error.message.contains(PLACE), "{error:?}");
            assert_eq!(error.data[0]["reason"], "EXTENSION_SUPPORT_REQUIRED");
            assert_eq!(error.data[0]["metadata"]["extension"], PLACE);
        }
    }
    assert_eq!(plain.call("ListTasks", json!({})).await["totalSize"], 0);
    let older = plain.clone().header("x-a2a-extensions", PLACE);
    for client in [&known, &older] {
        assert_eq!(state(&send(client, "hello").await), "COMPLETED");
    }
    let on_the_message = with(message("hello"), "/message/extensions", json!([PLACE]));
    let task = task_of(plain.call("SendMessage", on_the_message).await);
    // Read-only calls need not activate it, and the agent at the root requires nothing.
    assert_eq!(get(&plain, &id(&task)).await["id"], task["id"]);
    assert_eq!(state(&send(&stack.client(), "hello").await), "COMPLETED");
    // A follow-up is a message, too, at whatever address it arrives.
    let error = stack.client().call_error("SendMessage", reply_to(&id(&task), "more")).await;
    assert_eq!(error.code, -32008, "{error:?}");
}

async fn what_is_activated_is_named_in_the_answer_and_kept_with_the_message(mode: Mode) {
    let stack = places(mode).start().await;
    let asked = format!("urn:nobodys, {UNITS},{PLACE}, {DURABILITY}");
    let client = at(&stack).header("a2a-extensions", &asked);
    let params =
        with(return_immediately(message("hello")), "/message/extensions", json!(["urn:unknown"]));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params});
    let answer = client.post("/agents/places", call.to_string()).await;
    assert_eq!(answer.header("a2a-extensions"), format!("{DURABILITY}, {UNITS}, {PLACE}"));
    let task = &answer.json()["result"]["task"];
    let said = &get(&at(&stack), &id(task)).await["history"][0];
    assert_eq!(said["extensions"], json!(["urn:unknown", UNITS, PLACE]));
    // A repeated message is a duplicate, whichever extensions are active now.
    let fewer = at(&stack).header("a2a-extensions", PLACE);
    let again = task_of(fewer.call("SendMessage", call["params"].clone()).await);
    assert_eq!(again["id"], task["id"]);
}

async fn an_extended_card_requires_a_key(mode: Mode) {
    let stack = places(mode).key("alice", "read").start().await;
    let path = "/agents/places/.well-known/agent-card.json";
    let public = card(&stack.anonymous(), path).await;
    assert_eq!(public["capabilities"]["extendedAgentCard"], true);
    assert_eq!(skills(&public), ["near"]);
    let extended = at(&stack).call("GetExtendedAgentCard", json!({})).await;
    assert_eq!(skills(&extended), ["near", "far"]);
    assert_eq!(extended["supportedInterfaces"], public["supportedInterfaces"]);
    let by_tenant = stack.client().call("GetExtendedAgentCard", json!({"tenant": "places"})).await;
    assert_eq!(by_tenant, extended);

    let by_path = stack.client().get("/agents/places/extendedAgentCard").await;
    assert_eq!(by_path.json(), extended);
    assert!(by_path.header("cache-control").starts_with("private"), "{:?}", by_path.headers);
    let old_path =
        card(&stack.client().header("a2a-version", "0.3"), "/agents/places/v1/card").await;
    assert_eq!(skills(&old_path), ["near", "far"]);

    let nobody = stack.anonymous();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard"});
    assert_eq!(nobody.post("/agents/places", call.to_string()).await.status, 401);
    // The root agent's public card is the whole card.
    assert_eq!(
        card(&nobody, "/.well-known/agent-card.json").await["capabilities"]["extendedAgentCard"],
        false
    );
    let error = stack.client().call_error("GetExtendedAgentCard", json!({})).await;
    assert_eq!(error.code, -32004, "{error:?}");

    let old = at(&stack).without_header("a2a-version");
    let of_old = old.call("agent/getAuthenticatedExtendedCard", json!({})).await;
    assert_eq!(skills(&of_old), ["near", "far"]);
    assert_eq!(of_old["supportsAuthenticatedExtendedCard"], true);
    assert_eq!(of_old["protocolVersion"], "0.3.0");
    let of_both = card(&stack.anonymous().without_header("a2a-version"), path).await;
    assert_eq!(of_both["supportsAuthenticatedExtendedCard"], true);
}

async fn without_keys_a_setting_gives_an_extended_card(mode: Mode) {
    let stack = places(mode).start().await;
    let error = at(&stack).call_error("GetExtendedAgentCard", json!({})).await;
    assert_eq!(error.code, -32004, "{error:?}");
    let path = "/agents/places/.well-known/agent-card.json";
    let public = card(&stack.client(), path).await;
    assert_eq!(public["capabilities"]["extendedAgentCard"], false);
    assert_eq!(skills(&public), ["near"]);

    let stack = places(mode).set("cards.extended", "always").start().await;
    let root = card(&stack.client(), "/.well-known/agent-card.json").await;
    assert_eq!(root["capabilities"]["extendedAgentCard"], true);
    assert_eq!(stack.client().call("GetExtendedAgentCard", json!({})).await, root);
    let extended = at(&stack).call("GetExtendedAgentCard", json!({})).await;
    assert_eq!(skills(&extended), ["near", "far"]);
}

/// Binding, version, address and tenant of each interface.
fn reached(card: &Value, base: &str) -> Vec<String> {
    let interfaces = card["supportedInterfaces"].as_array().expect("a 1.0 card has interfaces");
    let text = |interface: &Value, name: &str| interface[name].as_str().unwrap_or("-").to_owned();
    let of = |interface: &Value| {
        let binding = text(interface, "protocolBinding");
        let version = text(interface, "protocolVersion");
        let place = text(interface, "url").replace(base, "");
        let place = place.replace(base.trim_start_matches("http://"), "host");
        format!("{binding} {version} {place} {}", text(interface, "tenant"))
    };
    interfaces.iter().map(of).collect()
}

async fn a_card_is_for_clients_of_both_versions_unless_one_is_asked_for(mode: Mode) {
    let stack = places(mode).set("cards.grpc", "host-port").start().await;
    let base = stack.base();
    let any = stack.client().without_header("a2a-version");
    let of_both = card(&any, "/.well-known/agent-card.json").await;
    assert_eq!(of_both["protocolVersion"], "0.3.0");
    assert_eq!(of_both["url"], format!("{base}/"));
    assert_eq!(of_both["preferredTransport"], "JSONRPC");
    assert_eq!(of_both["additionalInterfaces"][1]["transport"], "HTTP+JSON");
    assert_eq!(card(&any, "/.well-known/agent.json").await, of_both);
    let pure = stack.client().get("/.well-known/agent-card.json").await;
    assert_eq!(pure.header("vary"), "A2A-Version, Host", "no public address is set");
    assert!(pure.json().get("url").is_none());
    assert_eq!(pure.json()["supportedInterfaces"], of_both["supportedInterfaces"]);
    let named = card(&any, "/agents/places/.well-known/agent-card.json").await;
    assert_eq!(
        (reached(&of_both, &base), reached(&named, &base)),
        (
            [
                "JSONRPC 1.0 / -",
                "HTTP+JSON 1.0  -",
                "GRPC 1.0 host -",
                "JSONRPC 0.3 / -",
                "HTTP+JSON 0.3  -",
                "GRPC 0.3 host -",
            ]
            .map(str::to_owned)
            .to_vec(),
            [
                "JSONRPC 1.0 /agents/places -",
                "HTTP+JSON 1.0 /agents/places -",
                "GRPC 1.0 host places",
                "JSONRPC 0.3 /agents/places -",
                "HTTP+JSON 0.3 /agents/places -",
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
    let head = any.ask(reqwest::Method::HEAD, "/.well-known/agent-card.json", None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_ne!(head.header("etag"), pure.header("etag"));
}

async fn without_0_3_neither_cards_nor_calls_know_it(mode: Mode) {
    let setup = places(mode).set("a2a.serve_0_3", "false");
    let stack = setup.start().await;
    let any = stack.client().without_header("a2a-version");
    let pure = card(&any, "/.well-known/agent-card.json").await;
    assert_eq!(card(&stack.client(), "/.well-known/agent-card.json").await, pure);
    assert!(pure.get("url").is_none() && pure.get("protocolVersion").is_none());
    let expected = ["JSONRPC 1.0 / -", "HTTP+JSON 1.0  -", "GRPC 1.0  -"];
    assert_eq!(reached(&pure, &stack.base()), expected);
    let error = any.call_error("message/send", message("hello")).await;
    assert_eq!(error.code, -32009, "{error:?}");
    assert_eq!(error.data[0]["metadata"]["supported"], "1.0, 0.1");
    let by_path = any.post("/v1/message:send", message("hello").to_string()).await;
    assert_eq!(by_path.status, 400, "{}", by_path.text());
    assert!(by_path.text().contains("VERSION_NOT_SUPPORTED"), "{}", by_path.text());
    assert_eq!(state(&send(&any, "hello").await), "COMPLETED");
}
