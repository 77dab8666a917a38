//! The frame around the message of a call: whether it is compressed, its length, and the message. Every call of ours has one
//! message, so what comes is the one frame and nothing else.

use axum::http::HeaderMap;
use longhaul_wire::ProtocolError;

/// Bytes in front of a message.
const HEAD: usize = 5;

/// The message in a body.
pub fn message<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
    let refuse = |why: &str| Err(ProtocolError::InvalidRequest(why.to_owned()));
    if body.is_empty() {
        return refuse("the call has no message; send one, which may be empty");
    }
    let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk::<HEAD>() else {
        return refuse(BROKEN);
    };
    // One that says how it is compressed is refused by name later.
    let encoding = headers.get("grpc-encoding").filter(|encoding| *encoding != "identity");
    match compressed {
        0 => {}
        1 if encoding.is_some() => {}
        1 => return refuse("the message is compressed; send it without compression"),
        _ => {
            return refuse(
                "what comes is no message of gRPC: it must begin with 0, and its length",
            );
        }
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    match rest.get(..length) {
        None => refuse(BROKEN),
        Some(message) if message.len() == rest.len() => Ok(message),
        Some(_) => refuse("the call has more than one message; make a call for each"),
    }
}

const BROKEN: &str = "the message is shorter than it says; send all of it";
