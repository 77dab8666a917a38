//! Version negotiation, and the errors for unsupported versions.

use longhaul_wire::{Dialect, Negotiation, Operation, ProtocolError, error_codes::codes};

// 1.0 only; `legacy::negotiation` tests the older versions.
const STRICT: Negotiation = Negotiation { assume: false, v0_3: false, v0_1: false };
const LENIENT: Negotiation = Negotiation { assume: true, ..STRICT };

fn older_refused() -> ProtocolError {
    ProtocolError::VersionNotSupported { asked: "0.3".to_owned(), supported: "1.0" }
}

#[test]
fn only_major_and_minor_count() {
    for version in ["1.0", "1.0.0", "1.0.7", " 1.0 ", "1.0.1-rc"] {
        for negotiation in [STRICT, LENIENT] {
            assert_eq!(
                negotiation.method(Some(version), "GetTask"),
                Ok((Dialect::V1_0, Operation::Get)),
                "{version}"
            );
        }
    }
}

#[test]
fn an_unknown_version_is_refused_with_those_supported() {
    for version in ["0.3", "0.3.0", "2.0", "1.1", "1", "x", "1.x", "+1.0", "1.+0", "99999999999.0"]
    {
        let error = LENIENT.method(Some(version), "GetTask").unwrap_err();
        assert_eq!(codes(&error).json_rpc, -32009, "{version}");
        assert!(error.to_string().contains("1.0"), "{error}");
    }
    // The version is echoed, so it must be truncated.
    let long = "9".repeat(10_000);
    let error = LENIENT.for_v1_path(Some(&long)).unwrap_err();
    assert!(error.to_string().len() < 400);
}

#[test]
fn without_a_version_a_name_of_1_0_decides() {
    for version in [None, Some(""), Some(" ")] {
        assert_eq!(LENIENT.method(version, "SendMessage"), Ok((Dialect::V1_0, Operation::Send)));
        assert_eq!(LENIENT.for_v1_path(version), Ok(Dialect::V1_0));
        let unknown = LENIENT.method(version, "DoThings").unwrap_err();
        assert_eq!(unknown, ProtocolError::MethodNotFound("DoThings".to_owned()));
        let older = LENIENT.method(version, "message/send").unwrap_err();
        assert_eq!(older, older_refused());
    }
}

#[test]
fn without_inference_an_absent_version_means_0_3() {
    assert_eq!(STRICT.method(None, "SendMessage"), Err(older_refused()));
    assert_eq!(STRICT.for_v1_path(Some("")), Err(older_refused()));
}

#[test]
fn a_method_of_another_version_is_not_found() {
    let error = LENIENT.method(Some("1.0"), "tasks/get").unwrap_err();
    assert_eq!(codes(&error).json_rpc, -32601);
}
