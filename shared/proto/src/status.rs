//! gRPC errors: a code (A2A 5.4), a message, and details (A2A 10.6). They travel in headers, which
//! clients limit to a few KiB, so message and details are limited too; surplus violations are
//! dropped.

use crate::pb::rpc;
use bytes::Bytes;
use longhaul_wire::{
    Dialect, ProtocolError, Violation,
    error::{LONGHAUL_DOMAIN, retry_after_seconds},
};
use prost::Message;
use prost_types::{Any, Duration};
use tonic::{Code, Status};

/// Maximum length of a message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1 << 10;
/// Maximum length of the details, in bytes; base64 adds a third.
const MAX_DETAILS_BYTES: usize = 4 << 10;

/// Converts an error into a gRPC status in the vocabulary of the dialect.
pub fn status(dialect: Dialect, error: &ProtocolError) -> Status {
    let code = dialect.codes(error).grpc.number();
    let message = match dialect {
        // Clients of 0.3 look for the error name in the message.
        Dialect::V0_3Proto => format!("{}: {}", error.name_in_0_3(), dialect.message(error)),
        Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_1 => dialect.message(error),
    };
    let message = cut(message);
    let details = details(&dialect.with_dialect_paths(error));
    // The details repeat code and message, as `google.rpc.Status` requires.
    let written = rpc::Status { code, message: message.clone(), details };
    Status::with_details(Code::from_i32(code), message, Bytes::from(written.encode_to_vec()))
}

/// Creates an error of the gRPC transport itself, independent of the dialect. `message` says what
/// to do; `reason` is one of Longhaul's.
pub fn transport_error(code: Code, reason: &str, message: &str) -> Status {
    let info = rpc::ErrorInfo {
        reason: reason.to_owned(),
        domain: LONGHAUL_DOMAIN.to_owned(),
        ..rpc::ErrorInfo::default()
    };
    let details = vec![packed("google.rpc.ErrorInfo", &info)];
    let written = rpc::Status { code: i32::from(code), message: message.to_owned(), details };
    Status::with_details(code, message, Bytes::from(written.encode_to_vec()))
}

/// Truncates a text to [`MAX_MESSAGE_BYTES`].
fn cut(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        // Cuts at a character boundary.
        let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
        text.truncate(ends.take_while(|end| *end <= MAX_MESSAGE_BYTES).last().unwrap_or_default());
    }
    text
}

fn details(error: &ProtocolError) -> Vec<Any> {
    // Always includes the reason, since several errors share a code.
    let mut list = vec![error_info(error)];
    if let ProtocolError::InvalidParams(violations) = error {
        list.push(bad_request(violations));
    }
    if let Some(wait) = error.retry_after() {
        let seconds = i64::try_from(retry_after_seconds(wait)).unwrap_or(i64::MAX);
        let info = rpc::RetryInfo { retry_delay: Some(Duration { seconds, nanos: 0 }) };
        list.push(packed("google.rpc.RetryInfo", &info));
    }
    list
}

fn error_info(error: &ProtocolError) -> Any {
    let metadata = error.metadata().into_iter().map(|(name, value)| (name.to_owned(), cut(value)));
    let info = rpc::ErrorInfo {
        reason: error.reason().to_owned(),
        domain: error.domain().to_owned(),
        metadata: metadata.collect(),
    };
    packed("google.rpc.ErrorInfo", &info)
}

fn bad_request(violations: &[Violation]) -> Any {
    let mut request = rpc::BadRequest::default();
    for Violation { field, description } in violations {
        request.field_violations.push(rpc::bad_request::FieldViolation {
            field: field.clone(),
            description: description.clone(),
        });
        // Measured after each addition, since violations vary in length.
        if request.encoded_len() > MAX_DETAILS_BYTES {
            request.field_violations.pop();
            break;
        }
    }
    packed("google.rpc.BadRequest", &request)
}

fn packed(name: &str, detail: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: detail.encode_to_vec() }
}
