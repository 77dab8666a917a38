//! Reading one connection of a stream.

use super::api::{IDLE, Trouble, outcome};
use futures::{Stream, StreamExt};
use reqwest::Response;
use serde_json::Value;

type Bytes = Box<dyn Stream<Item = Result<Vec<u8>, String>> + Send + Unpin>;

/// A connection that brings events.
pub struct Connection {
    bytes: Bytes,
    buffer: Vec<u8>,
    id: Option<i64>,
    data: String,
}

/// What a connection brings next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// An event with its cursor.
    Event(i64, Value),
    /// The server has ended the stream.
    End,
    /// It broke, or the server says that it cannot go on.
    Broken(Trouble),
}

impl Connection {
    /// Reads an answer that is an event stream.
    pub fn new(response: Response) -> Self {
        let bytes = response
            .bytes_stream()
            .map(|chunk| chunk.map(|chunk| chunk.to_vec()).map_err(|error| format!("{error:?}")));
        Self { bytes: Box::new(bytes), buffer: Vec::new(), id: None, data: String::new() }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Next {
        loop {
            if let Some(next) = self.parse() {
                return next;
            }
            match tokio::time::timeout(IDLE, self.bytes.next()).await {
                Err(_) => return Next::Broken(Trouble::Network("the stream fell silent".into())),
                Ok(None) => return Next::End,
                Ok(Some(Err(error))) => return Next::Broken(Trouble::Network(error)),
                Ok(Some(Ok(chunk))) => self.buffer.extend(chunk),
            }
        }
    }

    /// The next whole event of the buffer.
    fn parse(&mut self) -> Option<Next> {
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

    fn event(&mut self) -> Next {
        let (id, data) = (self.id.take(), std::mem::take(&mut self.data));
        match (outcome(&data), id) {
            (Ok(event), Some(id)) => Next::Event(id, event),
            (Ok(event), None) => {
                Next::Broken(Trouble::Nonsense(format!("an event without an id: {event}")))
            }
            (Err(trouble), _) => Next::Broken(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, Next};
    use futures::stream;
    use serde_json::json;

    #[tokio::test]
    async fn events_come_with_their_cursors_and_comments_do_not() {
        let text = ": hi\n\nid: 7\ndata: {\"result\":{\"n\":1}}\n\nid: 8\ndata: {\"res";
        let chunks: Vec<Result<Vec<u8>, String>> =
            text.as_bytes().chunks(5).map(|chunk| Ok(chunk.to_vec())).collect();
        let mut connection = Connection {
            bytes: Box::new(stream::iter(chunks)),
            buffer: Vec::new(),
            id: None,
            data: String::new(),
        };
        assert_eq!(connection.next().await, Next::Event(7, json!({"n": 1})));
        assert_eq!(connection.next().await, Next::End, "half an event is none");
    }
}
