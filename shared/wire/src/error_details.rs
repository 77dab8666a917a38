//! Error details: an array of objects that each name their type (A2A 3.3.2, 9.5, 11.6).

use crate::{
    ProtocolError, WireError,
    error::retry_after_seconds,
    error_codes::codes,
    raw::Violation,
    write::{DisplayString, ObjectWriter, to_vec},
};
use serde::{Serialize, Serializer, ser::SerializeSeq};

pub(crate) const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
pub(crate) const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
pub(crate) const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// Array of error details.
pub(crate) struct ErrorDetails<'a> {
    error: &'a ProtocolError,
    /// Set to include the reason even where the JSON-RPC code says everything.
    always_reason: bool,
}

impl<'a> ErrorDetails<'a> {
    /// Details for JSON-RPC, whose own errors are fully described by code and message.
    pub const fn for_json_rpc(error: &'a ProtocolError) -> Self {
        Self { error, always_reason: false }
    }

    /// Details for bindings other than JSON-RPC. They always include the reason: several errors
    /// share a status code, and clients distinguish them by reason only.
    const fn for_http(error: &'a ProtocolError) -> Self {
        Self { error, always_reason: true }
    }

    /// Tells if the array would be empty.
    pub const fn is_empty(&self) -> bool {
        // JSON-RPC's own errors need no reason beside their code.
        let of_json_rpc = matches!(
            self.error,
            ProtocolError::ParseError(_)
                | ProtocolError::InvalidRequest(_)
                | ProtocolError::MethodNotFound(_)
        );
        of_json_rpc && !self.always_reason
    }

    const fn has_reason(&self) -> bool {
        // In JSON-RPC the violations alone describe invalid parameters.
        self.always_reason
            || !(self.is_empty() || matches!(self.error, ProtocolError::InvalidParams(_)))
    }
}

impl Serialize for ErrorDetails<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        if self.has_reason() {
            list.serialize_element(&ErrorInfo(self.error))?;
        }
        if let ProtocolError::InvalidParams(violations) = self.error {
            list.serialize_element(&BadRequest(violations))?;
        }
        if let Some(wait) = self.error.retry_after() {
            list.serialize_element(&RetryInfo(retry_after_seconds(wait)))?;
        }
        list.end()
    }
}

struct ErrorInfo<'a>(&'a ProtocolError);

impl Serialize for ErrorInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.0.metadata();
        let mut members = ObjectWriter::open(serializer)?;
        members.put("@type", ERROR_INFO)?;
        members.put("reason", self.0.reason())?;
        members.put("domain", self.0.domain())?;
        members.put_some("metadata", (!metadata.is_empty()).then_some(Metadata(&metadata)))?;
        members.close()
    }
}

struct Metadata<'a>(&'a [(&'static str, String)]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct BadRequest<'a>(&'a [Violation]);

impl Serialize for BadRequest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let violations: Vec<FieldViolation<'_>> = self.0.iter().map(FieldViolation).collect();
        let mut members = ObjectWriter::open(serializer)?;
        members.put("@type", BAD_REQUEST)?;
        members.put("fieldViolations", &violations)?;
        members.close()
    }
}

struct FieldViolation<'a>(&'a Violation);

impl Serialize for FieldViolation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("field", &self.0.field)?;
        members.put("description", &self.0.description)?;
        members.close()
    }
}

struct RetryInfo(u64);

impl Serialize for RetryInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = ObjectWriter::open(serializer)?;
        members.put("@type", RETRY_INFO)?;
        // Protobuf JSON writes durations this way.
        members.put("retryDelay", &format!("{}s", self.0))?;
        members.close()
    }
}

struct ErrorStatus<'a>(&'a ProtocolError);

impl Serialize for ErrorStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let codes = codes(self.0);
        let mut members = ObjectWriter::open(serializer)?;
        members.put("code", &codes.http)?;
        members.put("status", codes.grpc.name())?;
        members.put("message", &DisplayString(self.0))?;
        members.put("details", &ErrorDetails::for_http(self.0))?;
        members.close()
    }
}

impl ProtocolError {
    /// Writes the error body of bindings other than JSON-RPC (A2A 11.6).
    pub fn to_http_body(&self) -> Result<Vec<u8>, WireError> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: ErrorStatus<'a>,
        }
        to_vec(&Body { error: ErrorStatus(self) })
    }
}
