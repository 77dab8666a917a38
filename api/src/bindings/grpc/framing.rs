//! The frame around the message of a call: whether it is compressed, its length, and the message. Every call of ours has one
//! message, so what comes is the one frame and nothing else. Messages may be compressed with gzip; what they become is bounded like any other.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue},
};
use flate2::read::GzDecoder;
use longhaul_wire::{ProtocolError, dialect::shortened};
use std::io::Read;

/// Bytes in front of a message.
const HEAD: usize = 5;

/// Names how messages are compressed.
pub const ENCODING: &str = "grpc-encoding";
/// The encodings that are read.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip");

/// Explains why the messages of a call cannot be read, when they are compressed with anything but gzip.
pub fn unknown_encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(ENCODING)?.to_str().unwrap_or("?");
    (!matches!(encoding, "identity" | "gzip")).then(|| {
        let encoding = shortened(encoding);
        format!("Messages compressed with {encoding} are not read. Send them with gzip, or without compression")
    })
}

/// The body with its message as it was before it was compressed: at most so many bytes.
pub fn inflated(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, ProtocolError> {
    let (is_compressed, message) = content(&body)?;
    if !is_compressed {
        return Ok(body);
    }
    if headers.get(ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return refuse(
            "the message is compressed and does not say how; name gzip in grpc-encoding, or send it without compression",
        );
    }
    let mut frame = vec![0; HEAD];
    let most = (limit as u64).saturating_add(1);
    if GzDecoder::new(message).take(most).read_to_end(&mut frame).is_err() {
        return refuse(
            "the message is not compressed with gzip, as it says it is; send all of it, or send it without compression",
        );
    }
    let length = frame.len() - HEAD;
    let head = u32::try_from(length).ok().filter(|_| length <= limit);
    let head = head.ok_or(ProtocolError::TooLarge { limit: limit as u64 })?;
    frame[1..HEAD].copy_from_slice(&head.to_be_bytes());
    Ok(frame.into())
}

/// The message in a body that is not compressed any more.
pub fn message(body: &[u8]) -> Result<&[u8], ProtocolError> {
    content(body).map(|(_, message)| message)
}

/// Splits a body into its flag for compression and its message.
fn content(body: &[u8]) -> Result<(bool, &[u8]), ProtocolError> {
    if body.is_empty() {
        return refuse("the call has no message; send one, which may be empty");
    }
    let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk::<HEAD>() else {
        return refuse(BROKEN);
    };
    if compressed > 1 {
        return refuse("what comes is no message of gRPC: it must begin with 0, and its length");
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    match rest.get(..length) {
        None => refuse(BROKEN),
        Some(message) if message.len() == rest.len() => Ok((compressed == 1, message)),
        Some(_) => refuse("the call has more than one message; make a call for each"),
    }
}

fn refuse<T>(why: &str) -> Result<T, ProtocolError> {
    Err(ProtocolError::InvalidRequest(why.to_owned()))
}

const BROKEN: &str = "the message is shorter than it says; send all of it";

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const LIMIT: usize = 1 << 20;

    fn headers(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(ENCODING),
            HeaderValue::from_static(encoding),
        )])
    }

    fn compressed(message: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(message).unwrap();
        let packed = encoder.finish().unwrap();
        let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
        [&[1][..], &length, &packed].concat().into()
    }

    #[test]
    fn a_message_is_as_it_was_before_it_was_compressed() {
        for size in [0, 1, 70_000, LIMIT] {
            let body = inflated(&headers("gzip"), compressed(&vec![7; size]), LIMIT).unwrap();
            assert_eq!(message(&body).unwrap(), vec![7; size]);
        }
    }

    #[test]
    fn a_small_message_that_would_become_a_large_one_is_refused() {
        for size in [LIMIT + 1, 200 << 20] {
            let body = compressed(&vec![0; size]);
            let refused = inflated(&headers("gzip"), body, LIMIT);
            assert_eq!(refused, Err(ProtocolError::TooLarge { limit: LIMIT as u64 }));
        }
    }

    #[test]
    fn what_is_not_gzip_is_refused() {
        let whole = compressed(b"hello");
        let two = Bytes::from([&whole[..], &whole].concat());
        for body in [whole.slice(..whole.len() - 1), two, Bytes::from_static(&[1, 0, 0, 0, 1, 9])] {
            assert!(inflated(&headers("gzip"), body, LIMIT).is_err());
        }
        assert!(inflated(&HeaderMap::new(), whole, LIMIT).is_err(), "it does not say how");
        assert_eq!(unknown_encoding(&headers("gzip")), None);
        assert!(unknown_encoding(&headers("zstd")).unwrap().contains("gzip"));
    }
}
