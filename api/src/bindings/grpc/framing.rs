//! Framing of a call's message: compression flag, length, message.
//!
//! Every call of ours has exactly one message. It may be compressed with gzip; its decompressed
//! size is bounded like any body.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue},
};
use flate2::read::GzDecoder;
use longhaul_wire::{ProtocolError, shortened};
use std::io::Read;

/// Bytes in front of a message.
const FRAME_HEADER_BYTES: usize = 5;

/// Header with the compression of messages.
pub const ENCODING_HEADER: &str = "grpc-encoding";
/// Supported encodings.
pub const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip");

/// Error text for an encoding other than gzip.
pub fn unknown_encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(ENCODING_HEADER)?.to_str().unwrap_or("?");
    (!matches!(encoding, "identity" | "gzip")).then(|| {
        let encoding = shortened(encoding);
        format!("Messages compressed with {encoding} are not read. Send them with gzip, or without compression")
    })
}

/// The body with its message decompressed, to at most `limit` bytes.
pub fn decompressed(
    headers: &HeaderMap,
    body: Bytes,
    limit: usize,
) -> Result<Bytes, ProtocolError> {
    let (is_compressed, message) = content(&body)?;
    if !is_compressed {
        return Ok(body);
    }
    if headers.get(ENCODING_HEADER).is_none_or(|encoding| encoding != "gzip") {
        return refuse(
            "the message is compressed and does not say how; name gzip in grpc-encoding, or send it without compression",
        );
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    let max = (limit as u64).saturating_add(1);
    // One byte more than allowed is enough to know that it is too large.
    if GzDecoder::new(message).take(max).read_to_end(&mut frame).is_err() {
        return refuse(
            "the message is not compressed with gzip, as it says it is; send all of it, or send it without compression",
        );
    }
    let length = frame.len() - FRAME_HEADER_BYTES;
    let head = u32::try_from(length).ok().filter(|_| length <= limit);
    let head = head.ok_or(ProtocolError::TooLarge { limit: limit as u64 })?;
    frame[1..FRAME_HEADER_BYTES].copy_from_slice(&head.to_be_bytes());
    Ok(frame.into())
}

/// The message of an uncompressed body.
pub fn message(body: &[u8]) -> Result<&[u8], ProtocolError> {
    content(body).map(|(_, message)| message)
}

/// Splits a body into its compression flag and its message.
fn content(body: &[u8]) -> Result<(bool, &[u8]), ProtocolError> {
    if body.is_empty() {
        return refuse("the call has no message; send one, which may be empty");
    }
    let Some((&[compressed, a, b, c, d], rest)) = body.split_first_chunk::<FRAME_HEADER_BYTES>()
    else {
        return refuse(TRUNCATED_MESSAGE);
    };
    if compressed > 1 {
        return refuse("what comes is no message of gRPC: it must begin with 0, and its length");
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    match rest.get(..length) {
        None => refuse(TRUNCATED_MESSAGE),
        Some(message) if message.len() == rest.len() => Ok((compressed == 1, message)),
        Some(_) => refuse("the call has more than one message; make a call for each"),
    }
}

fn refuse<T>(why: &str) -> Result<T, ProtocolError> {
    Err(ProtocolError::InvalidRequest(why.to_owned()))
}

const TRUNCATED_MESSAGE: &str = "the message is shorter than it says; send all of it";

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const MAX_MESSAGE_BYTES: usize = 1 << 20;

    fn headers(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(ENCODING_HEADER),
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
    fn a_message_is_decompressed() {
        for size in [0, 1, 70_000, MAX_MESSAGE_BYTES] {
            let body =
                decompressed(&headers("gzip"), compressed(&vec![7; size]), MAX_MESSAGE_BYTES)
                    .unwrap();
            assert_eq!(message(&body).unwrap(), vec![7; size]);
        }
    }

    #[test]
    fn a_message_that_decompresses_beyond_the_limit_is_refused() {
        for size in [MAX_MESSAGE_BYTES + 1, 200 << 20] {
            let body = compressed(&vec![0; size]);
            let refused = decompressed(&headers("gzip"), body, MAX_MESSAGE_BYTES);
            assert_eq!(refused, Err(ProtocolError::TooLarge { limit: MAX_MESSAGE_BYTES as u64 }));
        }
    }

    #[test]
    fn invalid_gzip_is_refused() {
        let complete = compressed(b"hello");
        let two = Bytes::from([&complete[..], &complete].concat());
        for body in
            [complete.slice(..complete.len() - 1), two, Bytes::from_static(&[1, 0, 0, 0, 1, 9])]
        {
            assert!(decompressed(&headers("gzip"), body, MAX_MESSAGE_BYTES).is_err());
        }
        assert!(
            decompressed(&HeaderMap::new(), complete, MAX_MESSAGE_BYTES).is_err(),
            "it does not say how"
        );
        assert_eq!(unknown_encoding(&headers("gzip")), None);
        assert!(unknown_encoding(&headers("zstd")).unwrap().contains("gzip"));
    }
}
