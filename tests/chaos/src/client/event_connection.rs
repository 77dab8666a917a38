//! One connection of an event stream.

use super::api_nodes::{CallError, STREAM_IDLE_TIMEOUT, parse_response};
use futures::{Stream, StreamExt};
use reqwest::Response;
use serde_json::Value;

type Bytes = Box<dyn Stream<Item = Result<Vec<u8>, String>> + Send + Unpin>;

/// A connection that carries an event stream.
pub struct EventConnection {
    bytes: Bytes,
    buffer: Vec<u8>,
    id: Option<i64>,
    data: String,
}

/// An item of an event stream.
#[derive(Debug, PartialEq)]
pub enum StreamItem {
    /// An event and its cursor.
    Event(i64, Value),
    /// The server ended the stream.
    End,
    /// The connection broke, or the server reported an error.
    Broken(CallError),
}

impl EventConnection {
    /// Reads the body of a response as an event stream.
    pub fn new(response: Response) -> Self {
        let bytes = response
            .bytes_stream()
            .map(|chunk| chunk.map(|chunk| chunk.to_vec()).map_err(|error| format!("{error:?}")));
        Self { bytes: Box::new(bytes), buffer: Vec::new(), id: None, data: String::new() }
    }

    /// The next item.
    pub async fn next(&mut self) -> StreamItem {
        loop {
            if let Some(next) = self.parse() {
                return next;
            }
            match tokio::time::timeout(STREAM_IDLE_TIMEOUT, self.bytes.next()).await {
                Err(_) => {
                    return StreamItem::Broken(CallError::Network("the stream fell silent".into()));
                }
                Ok(None) => return StreamItem::End,
                Ok(Some(Err(error))) => return StreamItem::Broken(CallError::Network(error)),
                Ok(Some(Ok(chunk))) => self.buffer.extend(chunk),
            }
        }
    }

    /// Takes the next complete event out of the buffer.
    fn parse(&mut self) -> Option<StreamItem> {
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(id) = line.strip_prefix("id:") {
                self.id = id.trim().parse().ok();
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data.push_str(data.trim_start());
            } else if line.is_empty() && !self.data.is_empty() {
                return Some(self.event());
            }
        }
        None
    }

    fn event(&mut self) -> StreamItem {
        let (id, data) = (self.id.take(), std::mem::take(&mut self.data));
        match (parse_response(&data), id) {
            (Ok(event), Some(id)) => StreamItem::Event(id, event),
            (Ok(event), None) => {
                StreamItem::Broken(CallError::Invalid(format!("an event without an id: {event}")))
            }
            (Err(trouble), _) => StreamItem::Broken(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EventConnection, StreamItem};
    use futures::stream;
    use serde_json::json;

    #[tokio::test]
    async fn events_are_read_with_their_cursors_and_comments_are_skipped() {
        let text = ": hi\n\nid: 7\ndata: {\"result\":{\"n\":1}}\n\nid: 8\ndata: {\"res";
        let chunks: Vec<Result<Vec<u8>, String>> =
            text.as_bytes().chunks(5).map(|chunk| Ok(chunk.to_vec())).collect();
        let mut connection = EventConnection {
            bytes: Box::new(stream::iter(chunks)),
            buffer: Vec::new(),
            id: None,
            data: String::new(),
        };
        assert_eq!(connection.next().await, StreamItem::Event(7, json!({"n": 1})));
        assert_eq!(connection.next().await, StreamItem::End, "an incomplete event is dropped");
    }
}
