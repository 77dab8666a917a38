//! JSON-RPC 2.0 envelopes (A2A 9): a call that cannot be read is answered all the same, with its id wherever that could
//! be made out. Everything that is written is one line, so that it can stand in an SSE `data:` field.

mod answer;
mod call;
mod error;
mod write;

pub use answer::{Remote, RpcResponse, read_answer};
pub use call::{Call, RejectedCall, read_call};
pub use error::write_error;
pub use write::{result_envelope, write_call, write_result};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// What every envelope says of itself.
const VERSION: &str = "2.0";

/// Id of a call: a string, a number or null, given back just as it came.
#[derive(Clone)]
pub struct RpcId(Box<RawValue>);

impl RpcId {
    /// The id of an answer to a call whose own could not be read.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }
    /// A number, for a client's own calls.
    pub fn number(number: u64) -> Self {
        let raw = RawValue::from_string(number.to_string());
        Self(raw.unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
    /// The JSON text.
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
