//! Writing answers, and calls for the client side.

use super::{Id, VERSION};
use crate::{
    ProtocolError, WireError,
    details::Details,
    table::codes,
    write::{Members, Shown, to_vec},
};
use serde::{Serialize, Serializer};

/// An answer that holds a result.
pub fn write_result(id: &Id, result: &impl Serialize) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct Answer<'a, T> {
        jsonrpc: &'static str,
        id: &'a Id,
        result: &'a T,
    }
    to_vec(&Answer { jsonrpc: VERSION, id, result })
}

/// What stands before and behind the result in an answer: for a result that is written once and goes to many.
pub fn around_result(id: &Id) -> (String, &'static str) {
    (format!(r#"{{"jsonrpc":"{VERSION}","id":{},"result":"#, id.as_str()), "}")
}

/// An answer that holds an error.
pub fn write_error(id: &Id, error: &ProtocolError) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct Answer<'a> {
        jsonrpc: &'static str,
        id: &'a Id,
        error: Error<'a>,
    }
    to_vec(&Answer { jsonrpc: VERSION, id, error: Error(error) })
}

/// A call.
pub fn write_call(id: &Id, method: &str, params: &impl Serialize) -> Result<Vec<u8>, WireError> {
    #[derive(Serialize)]
    struct Call<'a, T> {
        jsonrpc: &'static str,
        id: &'a Id,
        method: &'a str,
        params: &'a T,
    }
    to_vec(&Call { jsonrpc: VERSION, id, method, params })
}

struct Error<'a>(&'a ProtocolError);

impl Serialize for Error<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let details = Details(self.0);
        let mut members = Members::open(serializer)?;
        members.put("code", &codes(self.0).json_rpc)?;
        members.put("message", &Shown(self.0))?;
        members.maybe("data", (!details.is_empty()).then_some(details))?;
        members.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_is_put_in_later_makes_the_same_answer() {
        for id in [Id::null(), Id::number(7)] {
            let (before, after) = around_result(&id);
            let whole = write_result(&id, &[1]).unwrap();
            assert_eq!(format!("{before}[1]{after}").as_bytes(), whole);
        }
    }
}
