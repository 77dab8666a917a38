//! Reading server-sent events, one at a time.
//!
//! Guarantee: an event is returned only after its closing blank line has arrived. An incomplete
//! event at the end of the stream is dropped, as the standard says. Comments (keep-alives) are
//! counted, not returned.

use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::json_rpc::{JsonRpcError, outcome};

type Bytes = Box<dyn Stream<Item = Result<Vec<u8>, String>> + Send + Unpin>;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The cursor for `Last-Event-ID` when resuming, if the event has one.
    pub id: Option<String>,
    /// The event's name, if it has one.
    pub name: Option<String>,
    /// The data; lines are joined with newlines.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|error| panic!("no JSON ({error}) in the event {self:?}"))
    }
}

/// A stream of server-sent events.
pub struct EventStream {
    /// The headers of the answer.
    pub headers: HeaderMap,
    bytes: Bytes,
    parser: Parser,
}

impl EventStream {
    /// Reads the events of a response; panics with its body when it is not an event stream.
    pub async fn open(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let kind =
            headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if status != 200 || !kind.starts_with("text/event-stream") {
            let body = response.text().await.unwrap_or_default();
            panic!("no event stream but {status} {kind}: {body}");
        }
        let bytes = response
            .bytes_stream()
            .map(|chunk| chunk.map(|b| b.to_vec()).map_err(|error| format!("{error:?}")));
        Self { headers, bytes: Box::new(bytes), parser: Parser::default() }
    }

    /// The next event; `None` when the stream has ended or the connection broke. Panics after
    /// `limit`.
    pub async fn next(&mut self, limit: Duration) -> Option<Event> {
        let next = tokio::time::timeout(limit, self.advance()).await;
        next.unwrap_or_else(|_| panic!("no event and no end of the stream within {limit:?}"))
    }

    /// The id and JSON-RPC result of the next event; panics on an error.
    pub async fn next_result(&mut self, limit: Duration) -> Option<(Option<String>, Value)> {
        let event = self.next(limit).await?;
        let result =
            Self::outcome(&event).unwrap_or_else(|error| panic!("the stream brought {error:?}"));
        Some((event.id, result))
    }

    /// All results until the server ends the stream.
    pub async fn collect_results(&mut self, limit_each: Duration) -> Vec<(Option<String>, Value)> {
        let mut all = Vec::new();
        while let Some(result) = self.next_result(limit_each).await {
            all.push(result);
        }
        all
    }

    /// The JSON-RPC outcome that an event carries.
    pub fn outcome(event: &Event) -> Result<Value, JsonRpcError> {
        outcome(&mut event.json()).unwrap_or_else(|| panic!("no JSON-RPC response in {event:?}"))
    }

    /// Number of comment lines so far.
    pub fn comments(&self) -> usize {
        self.parser.comments
    }

    async fn advance(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Some(event);
            }
            let chunk = self.bytes.next().await?.ok()?;
            self.parser.buffer.extend(chunk);
        }
    }
}

#[derive(Default)]
struct Parser {
    buffer: Vec<u8>,
    event: Event,
    has_data: bool,
    comments: usize,
}

impl Parser {
    fn next_event(&mut self) -> Option<Event> {
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8(line).expect("an event stream is UTF-8");
            let line = line.trim_end_matches(['\n', '\r']);
            if !line.is_empty() {
                self.field(line);
                continue;
            }
            let (event, has_data) =
                (std::mem::take(&mut self.event), std::mem::take(&mut self.has_data));
            if has_data {
                return Some(event);
            }
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.comments += 1,
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.name = Some(value.to_owned()),
            "data" if self.has_data => self.event.data = format!("{}\n{value}", self.event.data),
            "data" => {
                value.clone_into(&mut self.event.data);
                self.has_data = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Parser};

    #[test]
    fn events_are_complete_however_the_bytes_are_cut() {
        let text = ": hello\n\nid: 7\nevent: task\ndata: {\"ü\":\ndata:1}\r\n\nretry: 5\n\ndata: last\n\nid: 9\ndata: half\n";
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for byte in text.bytes() {
            parser.buffer.push(byte);
            events.extend(parser.next_event());
        }
        let first =
            Event { id: Some("7".into()), name: Some("task".into()), data: "{\"ü\":\n1}".into() };
        let last = Event { data: "last".into(), ..Event::default() };
        assert_eq!(events, [first, last]);
        assert_eq!(parser.comments, 1);
    }
}
