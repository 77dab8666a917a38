//! Details of an error: an array of objects that each name their type (A2A 3.3.2, 9.5, 11.6).

use crate::{
    ProtocolError, WireError,
    error::seconds,
    raw::Violation,
    table::codes,
    write::{Members, Shown, to_vec},
};
use serde::{Serialize, Serializer, ser::SerializeSeq};

pub(crate) const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
pub(crate) const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
pub(crate) const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The array of details.
pub(crate) struct Details<'a> {
    error: &'a ProtocolError,
    /// Whether the reason stands in it also where the code of JSON-RPC says all of it.
    reasoned: bool,
}

impl<'a> Details<'a> {
    /// As JSON-RPC has them: errors of its own have a code that nothing else has, and a message.
    pub const fn beside_code(error: &'a ProtocolError) -> Self {
        Self { error, reasoned: false }
    }

    /// As they are outside JSON-RPC. There the reason always stands in them: several errors share a status, and clients tell
    /// them apart by nothing else.
    const fn beside_status(error: &'a ProtocolError) -> Self {
        Self { error, reasoned: true }
    }

    /// Whether there is nothing to say.
    pub const fn is_empty(&self) -> bool {
        let of_json_rpc = matches!(
            self.error,
            ProtocolError::ParseError(_)
                | ProtocolError::InvalidRequest(_)
                | ProtocolError::MethodNotFound(_)
        );
        of_json_rpc && !self.reasoned
    }

    const fn has_reason(&self) -> bool {
        self.reasoned || !(self.is_empty() || matches!(self.error, ProtocolError::InvalidParams(_)))
    }
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        if self.has_reason() {
            list.serialize_element(&ErrorInfo(self.error))?;
        }
        if let ProtocolError::InvalidParams(violations) = self.error {
            list.serialize_element(&BadRequest(violations))?;
        }
        if let Some(wait) = self.error.retry_after() {
            list.serialize_element(&RetryInfo(seconds(wait)))?;
        }
        list.end()
    }
}

struct ErrorInfo<'a>(&'a ProtocolError);

impl Serialize for ErrorInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.0.metadata();
        let mut members = Members::open(serializer)?;
        members.put("@type", ERROR_INFO)?;
        members.put("reason", self.0.reason())?;
        members.put("domain", self.0.domain())?;
        members.maybe("metadata", (!metadata.is_empty()).then_some(Metadata(&metadata)))?;
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
        let mut members = Members::open(serializer)?;
        members.put("@type", BAD_REQUEST)?;
        members.put("fieldViolations", &violations)?;
        members.close()
    }
}

struct FieldViolation<'a>(&'a Violation);

impl Serialize for FieldViolation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("field", &self.0.field)?;
        members.put("description", &self.0.description)?;
        members.close()
    }
}

struct RetryInfo(u64);

impl Serialize for RetryInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::open(serializer)?;
        members.put("@type", RETRY_INFO)?;
        members.put("retryDelay", &format!("{}s", self.0))?;
        members.close()
    }
}

struct Status<'a>(&'a ProtocolError);

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let codes = codes(self.0);
        let mut members = Members::open(serializer)?;
        members.put("code", &codes.http)?;
        members.put("status", codes.grpc.name())?;
        members.put("message", &Shown(self.0))?;
        members.put("details", &Details::beside_status(self.0))?;
        members.close()
    }
}

impl ProtocolError {
    /// The body of an HTTP answer outside JSON-RPC (A2A 11.6).
    pub fn to_http_body(&self) -> Result<Vec<u8>, WireError> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: Status<'a>,
        }
        to_vec(&Body { error: Status(self) })
    }
}
