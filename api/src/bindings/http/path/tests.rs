use super::*;
use proptest::prelude::*;
use std::fmt::Write;

/// The resolved operation in short.
fn shown(method: &str, path: &str) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match find(&method, path) {
        Ok(asked) => {
            let mut shown = format!("{:?}", asked.operation);
            let route_version = match asked.route_version {
                RouteVersion::V0_3 => Some(("v", Cow::Borrowed("0.3"))),
                RouteVersion::V1_0 | RouteVersion::Both => None,
            };
            let agent = asked.agent.map(|agent| ("agent", agent));
            let tenant = asked.tenant.map(|tenant| ("tenant", tenant));
            for (name, value) in
                route_version.into_iter().chain(agent).chain(tenant).chain(asked.ids)
            {
                write!(shown, " {name}={value}").unwrap();
            }
            shown
        }
        Err(TargetError::NotFound) => "nowhere".to_owned(),
        Err(TargetError::Method(methods)) => format!("only {methods:?}"),
        Err(TargetError::Refused(error)) => error.to_string(),
    }
}

#[track_caller]
fn check(table: &[(&str, &str, &str)]) {
    for (method, path, wanted) in table {
        assert_eq!(shown(method, path), *wanted, "{method} {path}");
    }
}

#[test]
fn every_operation_has_a_path() {
    check(&[
        ("POST", "/message:send", "Send"),
        ("POST", "/message:stream", "Stream"),
        ("GET", "/tasks", "List"),
        ("GET", "/tasks/t", "Get id=t"),
        ("POST", "/tasks/t:cancel", "Cancel id=t"),
        ("GET", "/tasks/t:subscribe", "Subscribe id=t"),
        ("POST", "/tasks/t:subscribe", "Subscribe id=t"),
        ("GET", "/tasks/t/pushNotificationConfigs", "ListPush taskId=t"),
        ("POST", "/tasks/t/pushNotificationConfigs", "CreatePush taskId=t"),
        ("GET", "/tasks/t/pushNotificationConfigs/c", "GetPush taskId=t id=c"),
        ("DELETE", "/tasks/t/pushNotificationConfigs/c", "DeletePush taskId=t id=c"),
        ("GET", "/extendedAgentCard", "ExtendedCard"),
        ("HEAD", "/tasks", "List"),
    ]);
}

#[test]
fn version_0_3_has_the_same_paths_under_v1() {
    check(&[
        ("POST", "/v1/message:send", "Send v=0.3"),
        ("POST", "/v1/message:stream", "Stream v=0.3"),
        ("GET", "/v1/tasks", "List v=0.3"),
        ("GET", "/v1/tasks/t", "Get v=0.3 id=t"),
        ("POST", "/v1/tasks/t:cancel", "Cancel v=0.3 id=t"),
        ("POST", "/v1/tasks/t:subscribe", "Subscribe v=0.3 id=t"),
        ("GET", "/v1/tasks/t:subscribe", "Subscribe v=0.3 id=t"),
        ("POST", "/v1/tasks/t/pushNotificationConfigs", "CreatePush v=0.3 taskId=t"),
        ("POST", "/v1/task/t/pushNotificationConfigs", "CreatePush v=0.3 taskId=t"),
        ("GET", "/v1/tasks/t/pushNotificationConfigs/c", "GetPush v=0.3 taskId=t id=c"),
        ("GET", "/v1/card", "ExtendedCard v=0.3"),
        ("GET", "/v1/extendedAgentCard", "nowhere"),
        ("GET", "/card", "nowhere"),
        ("POST", "/task/t/pushNotificationConfigs", "nowhere"),
    ]);
}

#[test]
fn agents_and_tenants_precede_the_operation() {
    check(&[
        ("GET", "/acme/tasks", "List tenant=acme"),
        ("GET", "/acme/v1/tasks/t", "Get v=0.3 tenant=acme id=t"),
        ("GET", "/agents/x/tasks", "List agent=x"),
        ("GET", "/agents/x/a2a/tasks", "List agent=x"),
        ("GET", "/a2a/tasks", "List"),
        ("GET", "/a2a/v1/tasks", "List v=0.3"),
        ("POST", "/agents/x/v1/message:send", "Send v=0.3 agent=x"),
        (
            "DELETE",
            "/agents/x/a2a/y/v1/tasks/t/pushNotificationConfigs/c",
            "DeletePush v=0.3 agent=x tenant=y taskId=t id=c",
        ),
        ("GET", "/card/tasks", "List tenant=card"),
        ("GET", "//tasks", "List"),
        ("GET", "//v1/card", "ExtendedCard v=0.3"),
        ("POST", "/agents/x//message:send", "Send agent=x"),
        ("GET", "/caf%C3%A9/tasks", "List tenant=café"),
    ]);
}

#[test]
fn reserved_segments_are_not_tenants() {
    for word in RESERVED_SEGMENTS {
        let known = matches!(word, "" | "a2a" | "v1");
        let found = shown("GET", &format!("/{word}/tasks")).starts_with("List");
        assert_eq!(found, known, "{word}");
    }
    check(&[
        ("GET", "/tasks/tasks", "Get id=tasks"),
        ("GET", "/v1/acme/tasks", "nowhere"),
        ("GET", "/agents/tasks", "nowhere"),
        ("GET", "/%76%31/tasks", "nowhere"),
        ("GET", "/operator/v1/tasks", "nowhere"),
        ("GET", "/agents/v1/tasks", "List agent=v1"),
    ]);
}

#[test]
fn a_wrong_method_lists_the_allowed_ones() {
    check(&[
        ("GET", "/message:send", "only [POST]"),
        ("POST", "/tasks", "only [GET, HEAD]"),
        ("GET", "/tasks/t:cancel", "only [POST]"),
        ("DELETE", "/tasks/t:subscribe", "only [GET, HEAD, POST]"),
        ("POST", "/tasks/t", "only [GET, HEAD]"),
        ("PUT", "/tasks/t/pushNotificationConfigs/c", "only [GET, HEAD, DELETE]"),
        ("OPTIONS", "/v1/card", "only [GET, HEAD]"),
    ]);
}

#[test]
fn ids_are_decoded_once_after_the_path_was_split() {
    check(&[
        ("GET", "/tasks/a%2Fb", "Get id=a/b"),
        ("GET", "/tasks/a%252Fb", "Get id=a%2Fb"),
        ("POST", "/tasks/a:b:cancel", "Cancel id=a:b"),
        ("GET", "/tasks/a:b", "Get id=a:b"),
        ("GET", "/tasks/a+b", "Get id=a+b"),
        ("GET", "/tasks/a%", "Get id=a%"),
        ("GET", "/tasks/%2e%2e", "Get id=.."),
        ("GET", "/tasks/%00", "Get id=\0"),
        ("POST", "/message%3Asend", "Send"),
        ("POST", "/tasks/a%3Acancel", "Cancel id=a"),
        ("GET", "/tasks/a%3Acancel", "only [POST]"),
        ("POST", "/v1/tasks/a%3asubscribe", "Subscribe v=0.3 id=a"),
        ("POST", "/tasks/a%3Ab:cancel", "Cancel id=a:b"),
        ("GET", "/tasks/t/pushNotificationConfigs/a%3Acancel", "GetPush taskId=t id=a:cancel"),
        ("POST", "/tasks/t:cancel%20", "only [GET, HEAD]"),
    ]);
}

#[test]
fn unknown_paths_are_not_found() {
    for path in [
        "",
        "*",
        "/",
        "//",
        "/tasks/",
        "///tasks",
        "//agents/x/tasks",
        "/acme//tasks",
        "/tasks//",
        "/tasks/:cancel",
        "/tasks/:",
        "/x",
        "/tasks/t/",
        "/tasks/t/other",
        "/tasks/t/pushNotificationConfigs/",
        "/agents//tasks",
        "/tasks/t/pushNotificationConfigs/c/d",
        "/a/b/tasks",
        "/TASKS",
        "/v1",
        "/v1/",
        "/a2a/a2a/tasks",
        "/agents/x/agents/y/tasks",
        "/message:send/",
        "/.well-known/tasks",
    ] {
        assert_eq!(shown("GET", path), "nowhere", "{path}");
    }
    let long = "/x".repeat(30_000);
    assert_eq!(shown("GET", &long), "nowhere");
    let long = format!("/tasks/{}", "x".repeat(60_000));
    assert!(shown("GET", &long).starts_with("Get"));
}

#[test]
fn invalid_utf_8_is_refused_by_parameter() {
    check(&[
        ("GET", "/tasks/%ff", "Invalid parameters: id is not valid UTF-8 in the path"),
        ("GET", "/%ff/tasks", "Invalid parameters: tenant is not valid UTF-8 in the path"),
        ("GET", "/agents/%c3/tasks", "Invalid parameters: agent is not valid UTF-8 in the path"),
        ("POST", "/message%ffsend", "nowhere"),
    ]);
}

#[test]
fn a_card_is_below_every_address_that_serves_its_agent() {
    for (address, agent) in [
        ("", Some(None)),
        ("/a2a", Some(None)),
        ("/a2a/", Some(None)),
        ("/v1", Some(None)),
        ("/agents/x", Some(Some("x"))),
        ("/agents/x/a2a", Some(Some("x"))),
        ("/agents/x/v1", Some(Some("x"))),
        ("/x", Some(Some("x"))),
        ("/a2a/x/v1", Some(Some("x"))),
        ("/agents/x/a2a/x", Some(Some("x"))),
        ("/agents/x/y", None),
        ("/tasks", None),
        ("/operator/v1", None),
        ("/x/y", None),
        ("/agents", None),
    ] {
        for name in ["agent-card.json", "agent.json"] {
            let path = format!("{address}/.well-known/{name}");
            assert_eq!(card(&path).map(|place| place.agent), agent, "{path}");
        }
        assert_eq!(card(&format!("{address}/.well-known/jwks.json")), None, "{address}");
    }
}

/// Segments that sometimes make up a known path.
fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "tasks",
        "task",
        "agents",
        "a2a",
        "v1",
        "card",
        "message:send",
        "pushNotificationConfigs",
        "t:cancel",
        ":",
        "%",
        "%2F",
        "%ff",
        "",
    ]);
    let segment = prop_oneof![3 => known.prop_map(str::to_owned), 1 => "[^/]{0,8}"];
    prop::collection::vec(segment, 0..12).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn no_path_panics(path in path(), method in prop::sample::select(vec!["GET", "POST", "DELETE", "X"])) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match find(&method, &path) {
            Ok(asked) => prop_assert!(asked.ids.iter().all(|(_, id)| !id.is_empty())),
            Err(TargetError::Method(methods)) => prop_assert!(!methods.contains(&method)),
            Err(TargetError::NotFound | TargetError::Refused(_)) => {}
        }
    }
}
