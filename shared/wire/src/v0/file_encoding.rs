//! File encoding in `ProtoJSON` of 0.3: base64 once or twice.
//!
//! The protobuf package has a `bytes` field, so its JSON is base64 once. This is written by
//! default, and official JavaScript clients do the same. Official Python and Go clients put base64
//! text into that field, so their JSON is base64 twice. They expect the same in responses: a file
//! that is not text makes the Python client fail.
//!
//! Content cannot reveal the encoding: the text `test` is valid base64 too, and decoding it would
//! destroy the file. So the encoding is never guessed from content; a binding derives it from the
//! caller, for example by [`FileEncoding::from_user_agent`]. For a caller that encodes twice,
//! content that is not strict base64 is kept as it is. Only a misidentified client whose file
//! happens to be strict base64 is misread. JSON-RPC has no `bytes` field and always encodes once.

use crate::Request;
use base64::{Engine, engine::general_purpose::STANDARD};
use longhaul_domain::{Content, Message};

/// Number of base64 layers around the bytes of a file in `ProtoJSON` of 0.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileEncoding {
    /// One layer, as the protobuf package defines.
    #[default]
    Once,
    /// Two layers, as official Python and Go clients send.
    Twice,
}

/// `User-Agent` prefixes of the HTTP and gRPC libraries whose clients encode twice.
const TWICE_ENCODING_CLIENTS: [&str; 4] =
    ["python-httpx/", "grpc-python", "go-http-client/", "grpc-go/"];

impl FileEncoding {
    /// Encoding that the client with this `User-Agent` uses.
    pub fn from_user_agent(agent: Option<&str>) -> Self {
        let agent = agent.unwrap_or_default().to_ascii_lowercase();
        let twice = TWICE_ENCODING_CLIENTS
            .iter()
            // Products are separated by whitespace; a match inside a word does not count.
            .any(|name| agent.split([' ', '\t']).any(|product| product.starts_with(name)));
        if twice { Self::Twice } else { Self::Once }
    }

    /// Removes the client's extra base64 layer from the files of a request.
    pub fn decode_files(self, request: &mut Request) {
        if let (Self::Twice, Request::Send(send) | Request::Stream(send)) = (self, request) {
            self.decode_message_files(&mut send.message);
        }
    }

    /// Removes the author's extra base64 layer from the files of a message.
    pub fn decode_message_files(self, message: &mut Message) {
        if self == Self::Once {
            return;
        }
        for part in &mut message.parts {
            if let Content::Raw(bytes) = &part.content
                // Content that is not strict base64 is the file itself.
                && let Ok(inner) = STANDARD.decode(bytes.as_ref())
            {
                part.content = Content::Raw(inner.into());
            }
        }
    }

    /// Content for a `bytes` field.
    pub fn encode(self, content: &[u8]) -> std::borrow::Cow<'_, [u8]> {
        match self {
            Self::Once => content.into(),
            Self::Twice => STANDARD.encode(content).into_bytes().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_recognized_by_their_libraries() {
        for (agent, expected) in [
            (Some("python-httpx/0.28.1"), FileEncoding::Twice),
            (Some("grpc-python-asyncio/1.71.0 grpc-c/46.0.0 (linux; chttp2)"), FileEncoding::Twice),
            (Some("my-agent/1 grpc-go/1.73.0"), FileEncoding::Twice),
            (Some("Go-http-client/2.0"), FileEncoding::Twice),
            (Some("node"), FileEncoding::Once),
            (Some("grpc-node-js/1.13.4"), FileEncoding::Once),
            (Some("not-python-httpx/1"), FileEncoding::Once),
            (Some(""), FileEncoding::Once),
            (None, FileEncoding::Once),
        ] {
            assert_eq!(FileEncoding::from_user_agent(agent), expected, "{agent:?}");
        }
    }
}
