//! How often the bytes of a file are base64 in `ProtoJSON` of 0.3.
//!
//! The protobuf package has the content in a `bytes` field, so in JSON it is base64 once; that is what is written and what is
//! read, and what the official JavaScript client does. The official Python and Go clients put the base64 text of their
//! JSON types into that field, so on the wire it is base64 twice; and from answers they expect the same, to the point that one
//! with a file that is not text makes the Python client fail.
//!
//! The content cannot tell which it is: a file of the word `test` is base64 as well, and taking it for that would destroy it.
//! So nothing is guessed from the content alone. A binding that knows who is calling says so, by
//! [`FileEncoding::from_user_agent`] or by its own knowledge. Where a client is held to encode twice, content that is not base64
//! of the strictest kind is still taken as it is; so only a client that is misjudged and whose file is such base64 is misread.
//! JSON-RPC has no `bytes` field: there it is once for everybody.

use crate::Request;
use base64::{Engine, engine::general_purpose::STANDARD};
use longhaul_domain::{Content, Message};

/// How often the bytes of a file are base64 in `ProtoJSON` of 0.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileEncoding {
    /// Once, as the protobuf package has it.
    #[default]
    Once,
    /// Twice, as the official clients in Python and Go have it.
    Twice,
}

/// How the HTTP and gRPC libraries of the clients that encode twice name themselves.
const TWICE: [&str; 4] = ["python-httpx/", "grpc-python", "go-http-client/", "grpc-go/"];

impl FileEncoding {
    /// What the client with this `User-Agent` does.
    pub fn from_user_agent(agent: Option<&str>) -> Self {
        let agent = agent.unwrap_or_default().to_ascii_lowercase();
        let twice = TWICE
            .iter()
            .any(|name| agent.split([' ', '\t']).any(|product| product.starts_with(name)));
        if twice { Self::Twice } else { Self::Once }
    }

    /// Turns the files of a request into what the client meant by them.
    pub fn settle(self, request: &mut Request) {
        if let (Self::Twice, Request::Send(send) | Request::Stream(send)) = (self, request) {
            self.settle_message(&mut send.message);
        }
    }

    /// Turns the files of a message into what its author meant by them.
    pub fn settle_message(self, message: &mut Message) {
        if self == Self::Once {
            return;
        }
        for part in &mut message.parts {
            if let Content::Raw(bytes) = &part.content
                && let Ok(inner) = STANDARD.decode(bytes.as_ref())
            {
                part.content = Content::Raw(inner.into());
            }
        }
    }

    /// The content of a file as it stands in a `bytes` field.
    pub fn field(self, content: &[u8]) -> std::borrow::Cow<'_, [u8]> {
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
    fn clients_are_known_by_their_libraries() {
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
