//! Request templates, in which only numbers change.

use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// A `SendMessage` of `echo`. Each number makes a unique message id and text.
#[derive(Debug, Clone)]
pub struct EchoMessage {
    bytes: Vec<u8>,
    /// Offset of the last digits of the message id.
    id: usize,
    /// Offset of the digits of the text.
    text: usize,
}

const ID_DIGITS: usize = 12;
const TEXT_DIGITS: usize = 10;
const TEXT: &str = "Task ";

impl EchoMessage {
    /// A template for the agent behind `/` (or `/agents/echo`).
    pub fn echo() -> Self {
        let id = message_id(0);
        let text = format!("{TEXT}{:0>TEXT_DIGITS$}", 0);
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
            "params": {"message": {"messageId": id, "role": "ROLE_USER", "parts": [{"text": text}]}},
        });
        let body = body.to_string();
        let offset = |part: &str, digits: usize| {
            body.find(part).expect("the body contains its parts") + part.len() - digits
        };
        let (id, text) = (offset(&id, ID_DIGITS), offset(&text, TEXT_DIGITS));
        Self { bytes: body.into_bytes(), id, text }
    }

    /// The body of the message with this number, which must be below ten billion.
    pub fn body(&mut self, number: u64) -> Bytes {
        write_digits(&mut self.bytes[self.id..self.id + ID_DIGITS], number);
        write_digits(&mut self.bytes[self.text..self.text + TEXT_DIGITS], number);
        Bytes::copy_from_slice(&self.bytes)
    }

    /// True when this is the text of the message with this number.
    pub fn is_text(text: &str, number: u64) -> bool {
        text.strip_prefix(TEXT)
            .is_some_and(|rest| rest.len() == TEXT_DIGITS && rest.parse() == Ok(number))
    }
}

/// The body of a JSON-RPC call.
pub fn call_body(method: &str, params: &Value) -> Bytes {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Bytes::from(call.to_string())
}

/// The id of the message with this number: as long as a UUID, and unique to this run.
pub fn message_id(number: u64) -> String {
    static RUN: LazyLock<u32> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.subsec_nanos() ^ std::process::id().rotate_left(16)
    });
    format!("{:08x}-0000-4000-8000-{number:0>ID_DIGITS$}", *RUN)
}

fn write_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::EchoMessage;
    use serde_json::Value;

    #[test]
    fn each_number_makes_a_message_of_equal_length_with_a_unique_id_and_text() {
        let mut message = EchoMessage::echo();
        let one: Value = serde_json::from_slice(&message.body(7)).expect("it is JSON");
        let bytes = message.body(1_234_567_890);
        let two: Value = serde_json::from_slice(&bytes).expect("it is JSON");
        let of =
            |body: &Value, at: &str| body.pointer(at).and_then(Value::as_str).map(str::to_owned);
        let id = |body: &Value| of(body, "/params/message/messageId").expect("it has an id");
        let text = |body: &Value| of(body, "/params/message/parts/0/text").expect("it has a text");
        assert_ne!(id(&one), id(&two));
        assert_eq!(id(&one).len(), 36);
        assert_eq!(text(&one), "Task 0000000007");
        assert!(EchoMessage::is_text(&text(&two), 1_234_567_890));
        assert!(!EchoMessage::is_text(&text(&two), 7));
    }
}
