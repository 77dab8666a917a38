//! JSON-RPC 2.0 envelopes (A2A 9). An unreadable call is answered too, with its id if that can be
//! found. All output is one line, so that it fits an SSE `data:` field.

mod call;
mod response;
mod write;

pub use call::{RejectedCall, RpcCall, read_call};
pub use response::{RpcError, RpcResponse, read_response};
pub use write::{result_envelope, write_call, write_error, write_result};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// Value of the `jsonrpc` member.
const JSONRPC_VERSION: &str = "2.0";

/// Call id: a string, a number or null, returned exactly as received.
#[derive(Clone)]
pub struct RpcId(Box<RawValue>);

impl RpcId {
    /// Null id, for responses to calls with an unreadable id.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }
    /// Numeric id, for a client's own calls.
    pub fn number(number: u64) -> Self {
        let raw = RawValue::from_string(number.to_string());
        Self(raw.unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
    /// JSON text of the id.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
    fn new(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }
}

impl PartialEq for RpcId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for RpcId {}

impl fmt::Debug for RpcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.as_str())
    }
}

impl Serialize for RpcId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
