//! Negotiation among the older dialects, with some of them switched off.

use super::text;
use longhaul_wire::{Dialect, Negotiation, Operation, ProtocolError, error_codes::codes};

const ALL: Negotiation = Negotiation { assume: true, v0_3: true, v0_1: true };
const STRICT: Negotiation = Negotiation { assume: false, ..ALL };
const NO_0_1: Negotiation = Negotiation { v0_1: false, ..ALL };
const NO_0_3: Negotiation = Negotiation { v0_3: false, ..ALL };
const ONLY_1_0: Negotiation = Negotiation { v0_3: false, v0_1: false, ..ALL };
const SERVER_ID: &str = r#"{"id":"018f2f6e-7b7a-7000-8000-000000000001"}"#;

fn call(
    negotiation: Negotiation,
    version: Option<&str>,
    method: &str,
    params: &str,
) -> Result<(Dialect, Operation), i32> {
    let called = negotiation.call(version, method, &text(params));
    called.map_err(|error| codes(&error).json_rpc)
}

#[test]
fn a_method_of_a_single_version_decides() {
    for negotiation in [ALL, STRICT] {
        for version in [None, Some(""), Some(" ")] {
            for operation in Operation::ALL {
                let name = operation.v03_method();
                assert_eq!(call(negotiation, version, name, "{}"), Ok((Dialect::V0_3, operation)));
            }
            for (name, operation) in [
                ("tasks/send", Operation::Send),
                ("tasks/sendSubscribe", Operation::Stream),
                ("tasks/pushNotification/set", Operation::CreatePush),
                ("tasks/pushNotification/get", Operation::GetPush),
            ] {
                assert_eq!(call(negotiation, version, name, "{}"), Ok((Dialect::V0_1, operation)));
            }
        }
    }
    assert_eq!(call(ALL, None, "GetTask", "{}"), Ok((Dialect::V1_0, Operation::Get)));
    assert_eq!(call(STRICT, None, "GetTask", "{}"), Err(-32601));
}

#[test]
fn a_task_id_that_this_server_cannot_have_made_means_0_1() {
    let chosen = [
        r#"{"id":"order-7"}"#,
        r#"{"id":"9f1e2d3c-4b5a-4968-8776-655443322110"}"#,
        r#"{"id":"9f1e2d3c4b5a49688776655443322110","historyLength":1}"#,
    ];
    for (name, operation) in [
        ("tasks/get", Operation::Get),
        ("tasks/cancel", Operation::Cancel),
        ("tasks/resubscribe", Operation::Subscribe),
    ] {
        for params in chosen {
            assert_eq!(call(ALL, None, name, params), Ok((Dialect::V0_1, operation)), "{params}");
            assert_eq!(call(NO_0_1, None, name, params), Ok((Dialect::V0_3, operation)));
            assert_eq!(call(ALL, Some("0.3"), name, params), Ok((Dialect::V0_3, operation)));
            assert_eq!(call(ALL, Some("0.1"), name, params), Ok((Dialect::V0_1, operation)));
        }
        // Ids that no client may choose do not count as client-chosen.
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(257));
        for params in [SERVER_ID, &long, "{}", r#"{"id":7}"#, r#"{"id":""}"#, r#"{"id":null}"#] {
            assert_eq!(call(ALL, None, name, params), Ok((Dialect::V0_3, operation)), "{params}");
        }
        assert_eq!(call(NO_0_3, None, name, SERVER_ID), Ok((Dialect::V0_1, operation)));
    }
    let named = call(ALL, None, "tasks/pushNotificationConfig/get", chosen[0]);
    assert_eq!(named, Ok((Dialect::V0_3, Operation::GetPush)));
}

#[test]
fn errors_about_an_unknown_client_chosen_id_are_of_0_3() {
    let missing = ProtocolError::TaskNotFound { task: "order-7".to_owned() };
    let ended = ProtocolError::UnsupportedOperation(String::new());
    let of = |negotiation: Negotiation, version, method, error| {
        negotiation.error_dialect(version, method, Dialect::V0_1, error)
    };
    assert_eq!(of(ALL, None, "tasks/get", &missing), Dialect::V0_3);
    assert_eq!(of(ALL, None, "tasks/resubscribe", &ended), Dialect::V0_1);
    assert_eq!(of(ALL, Some("0.1"), "tasks/get", &missing), Dialect::V0_1);
    assert_eq!(of(ALL, None, "tasks/send", &missing), Dialect::V0_1);
    assert_eq!(of(NO_0_3, None, "tasks/get", &missing), Dialect::V0_1);
    let of_1_0 = ALL.error_dialect(None, "GetTask", Dialect::V1_0, &missing);
    assert_eq!(of_1_0, Dialect::V1_0);
}

#[test]
fn a_stated_version_decides_alone() {
    for version in ["0.3", "0.3.0", " 0.3 "] {
        let sent = call(ALL, Some(version), "message/send", "{}");
        assert_eq!(sent, Ok((Dialect::V0_3, Operation::Send)));
        assert_eq!(call(ALL, Some(version), "SendMessage", "{}"), Err(-32601));
        assert_eq!(call(ALL, Some(version), "tasks/send", "{}"), Err(-32601));
    }
    assert_eq!(call(ALL, Some("1.0"), "message/send", "{}"), Err(-32601));
    for version in ["0.2", "0.4", "2.0", "0"] {
        assert_eq!(call(ALL, Some(version), "message/send", "{}"), Err(-32009));
    }
}

#[test]
fn disabled_versions_are_refused_with_the_served_ones() {
    for (negotiation, method, supported) in [
        (ONLY_1_0, "message/send", "1.0"),
        (ONLY_1_0, "tasks/send", "1.0"),
        (NO_0_1, "tasks/send", "1.0, 0.3"),
        (NO_0_3, "message/send", "1.0, 0.1"),
    ] {
        let error = negotiation.method(None, method).unwrap_err();
        let ProtocolError::VersionNotSupported { supported: told, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*told, supported);
        assert!(error.to_string().ends_with(&format!("one of: {supported}")), "{error}");
    }
    assert_eq!(call(ONLY_1_0, Some("0.3"), "tasks/get", SERVER_ID), Err(-32009));
    assert_eq!(call(ONLY_1_0, None, "SendMessage", "{}"), Ok((Dialect::V1_0, Operation::Send)));
}

#[test]
fn over_http_the_path_decides_unless_a_version_is_stated() {
    assert_eq!(ALL.for_v1_path(None), Ok(Dialect::V1_0));
    assert_eq!(ALL.for_v0_path(None), Ok(Dialect::V0_3Proto));
    assert_eq!(STRICT.for_v1_path(None), Ok(Dialect::V0_3Proto));
    for place in [Negotiation::for_v1_path, Negotiation::for_v0_path] {
        assert_eq!(place(ALL, Some("0.3")), Ok(Dialect::V0_3Proto));
        assert_eq!(place(ALL, Some("1.0")), Ok(Dialect::V1_0));
        for version in ["0.1", "2.0"] {
            let error = place(ALL, Some(version)).unwrap_err();
            assert_eq!(codes(&error).json_rpc, -32009, "{version}");
            assert!(error.to_string().ends_with("one of: 1.0, 0.3"), "{error}");
        }
    }
    assert_eq!(codes(&ONLY_1_0.for_v0_path(None).unwrap_err()).json_rpc, -32009);
}
