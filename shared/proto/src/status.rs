//! Errors as gRPC has them: a code of the table (A2A 5.4), a message, and details (A2A 10.6).
//!
//! They travel in headers, which clients bound to a few KiB, so both are bounded here: of too many violations the last are left
//! out.

use crate::pb::rpc;
use bytes::Bytes;
use longhaul_wire::{
    Dialect, ProtocolError, Violation,
    error::{OWN_DOMAIN, seconds},
};
use prost::Message;
use prost_types::{Any, Duration};
use tonic::{Code, Status};

/// Longest message, in bytes.
const MOST_MESSAGE: usize = 1 << 10;
/// Longest details, in bytes: base64 adds a third.
const MOST_DETAILS: usize = 4 << 10;

/// An error as a client of gRPC sees it, in the names of its dialect.
pub fn status(dialect: Dialect, error: &ProtocolError) -> Status {
    let code = dialect.codes(error).grpc.number();
    let message = match dialect {
        // There its clients look for the name of the error.
        Dialect::V0_3Proto => format!("{}: {}", error.name_in_0_3(), dialect.message(error)),
        Dialect::V1_0 | Dialect::V0_3 | Dialect::V0_1 => dialect.message(error),
    };
    let message = cut(message);
    let details = details(&dialect.named(error));
    let written = rpc::Status { code, message: message.clone(), details };
    Status::with_details(Code::from_i32(code), message, Bytes::from(written.encode_to_vec()))
}

/// What concerns gRPC itself and no dialect: a message that says what to do, and a reason of ours.
pub fn transport_error(code: Code, reason: &str, message: &str) -> Status {
    let info = rpc::ErrorInfo {
        reason: reason.to_owned(),
        domain: OWN_DOMAIN.to_owned(),
        ..rpc::ErrorInfo::default()
    };
    let details = vec![packed("google.rpc.ErrorInfo", &info)];
    let written = rpc::Status { code: i32::from(code), message: message.to_owned(), details };
    Status::with_details(code, message, Bytes::from(written.encode_to_vec()))
}

/// At most [`MOST_MESSAGE`] bytes of a text.
fn cut(mut text: String) -> String {
    if text.len() > MOST_MESSAGE {
        let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
        text.truncate(ends.take_while(|end| *end <= MOST_MESSAGE).last().unwrap_or_default());
    }
    text
}

fn details(error: &ProtocolError) -> Vec<Any> {
    let mut list = vec![error_info(error)];
    if let ProtocolError::InvalidParams(violations) = error {
        list.push(bad_request(violations));
    }
    if let Some(wait) = error.retry_after() {
        let seconds = i64::try_from(seconds(wait)).unwrap_or(i64::MAX);
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
        if request.encoded_len() > MOST_DETAILS {
            request.field_violations.pop();
            break;
        }
    }
    packed("google.rpc.BadRequest", &request)
}

fn packed(name: &str, detail: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: detail.encode_to_vec() }
}
