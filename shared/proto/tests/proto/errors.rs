//! gRPC errors: codes, messages and details.

use longhaul_proto::{pb::rpc, status};
use longhaul_wire::{Dialect, ProtocolError, Violation};
use prost::Message;
use std::time::Duration;
use tonic::Code;

fn details(error: &ProtocolError) -> (tonic::Status, Vec<prost_types::Any>) {
    let status = status(Dialect::V1_0, error);
    let written = rpc::Status::decode(status.details()).unwrap();
    assert_eq!((written.code, written.message.as_str()), (status.code() as i32, status.message()));
    (status, written.details)
}

#[test]
fn an_error_of_the_protocol_names_its_reason() {
    let (status, details) = details(&ProtocolError::TaskNotFound { task: "t".to_owned() });
    assert_eq!(status.code(), Code::NotFound);
    let [one] = details.as_slice() else { panic!("{details:?}") };
    assert_eq!(one.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
    let info = rpc::ErrorInfo::decode(one.value.as_slice()).unwrap();
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("TASK_NOT_FOUND", "a2a-protocol.org")
    );
    assert_eq!(info.metadata.get("taskId").map(String::as_str), Some("t"));
}

#[test]
fn invalid_parameters_are_listed() {
    let (status, details) = details(&ProtocolError::invalid("message.parts[0]", "has no content"));
    assert_eq!(status.code(), Code::InvalidArgument);
    let info = rpc::ErrorInfo::decode(details[0].value.as_slice()).unwrap();
    assert_eq!(info.reason, "INVALID_PARAMS");
    assert_eq!(details[1].type_url, "type.googleapis.com/google.rpc.BadRequest");
    let request = rpc::BadRequest::decode(details[1].value.as_slice()).unwrap();
    assert_eq!(request.field_violations[0].field, "message.parts[0]");
}

#[test]
fn retry_delays_are_in_the_details() {
    let retry_after = Duration::from_millis(2500);
    let (status, details) = details(&ProtocolError::Unavailable { retry_after });
    assert_eq!(status.code(), Code::Unavailable);
    let info = rpc::RetryInfo::decode(details[1].value.as_slice()).unwrap();
    assert_eq!(info.retry_delay.unwrap().seconds, 3);
}

#[test]
fn errors_fit_into_the_headers_that_clients_accept() {
    let long = "ü".repeat(3000);
    let many = (0..16).map(|_| Violation::new(long.clone(), long.clone())).collect();
    for error in [ProtocolError::InvalidParams(many), ProtocolError::UnsupportedOperation(long)] {
        let status = status(Dialect::V1_0, &error);
        // Common header limits start at 8 KiB; base64 adds a third to the details.
        assert!(status.message().len() + status.details().len() < 6 << 10);
    }
}

#[test]
fn a_client_of_0_3_sees_the_names_of_0_3() {
    let error = ProtocolError::invalid("message.parts", "is wrong");
    let status = status(Dialect::V0_3Proto, &error);
    let written = rpc::Status::decode(status.details()).unwrap();
    let request = rpc::BadRequest::decode(written.details[1].value.as_slice()).unwrap();
    assert_eq!(request.field_violations[0].field, "message.content");
    assert!(status.message().starts_with("InvalidParamsError: "), "{}", status.message());
}
