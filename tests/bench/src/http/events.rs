//! Server-sent events without a copy: an event borrows the bytes that were read.
//!
//! Lines end with a line feed alone, as ours do. Comments are skipped.

use super::{Connection, Failure};
use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The cursor to come back with; empty when it has none.
    pub id: Bytes,
    /// The data.
    pub data: Bytes,
}

/// The events of one answer. Dropping it closes the connection.
pub struct Events {
    connection: Connection,
    body: Incoming,
    parser: Parser,
}

impl Events {
    pub(super) fn new(connection: Connection, body: Incoming) -> Self {
        Self { connection, body, parser: Parser::default() }
    }

    /// The next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            match self.connection.frame(&mut self.body).await? {
                Some(data) => self.parser.feed(data),
                None => return Ok(None),
            }
        }
    }
}

/// Cuts bytes into events.
#[derive(Debug, Default)]
struct Parser {
    /// What came last and is not cut yet.
    fresh: Bytes,
    /// The beginning of an event whose end has not come.
    begun: BytesMut,
}

impl Parser {
    fn feed(&mut self, data: Bytes) {
        if self.fresh.is_empty() {
            self.fresh = data;
        } else {
            let mut joined = BytesMut::from(&self.fresh[..]);
            joined.extend_from_slice(&data);
            self.fresh = joined.freeze();
        }
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block()?;
            let event = event(&block);
            if event.is_some() {
                return event;
            }
        }
    }

    /// The next bytes that end with a blank line.
    fn block(&mut self) -> Option<Bytes> {
        if self.begun.is_empty() {
            if let Some(end) = blank_line(&self.fresh) {
                return Some(self.fresh.split_to(end));
            }
            self.begun.extend_from_slice(&std::mem::take(&mut self.fresh));
            return None;
        }
        // The blank line may lie across the border.
        let taken = if self.begun.ends_with(b"\n") && self.fresh.starts_with(b"\n") {
            Some(1)
        } else {
            blank_line(&self.fresh)
        };
        if let Some(taken) = taken {
            self.begun.extend_from_slice(&self.fresh.split_to(taken));
            return Some(self.begun.split().freeze());
        }
        self.begun.extend_from_slice(&std::mem::take(&mut self.fresh));
        None
    }
}

/// Where the first blank line ends.
fn blank_line(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let next = from + at + 1;
        if bytes.get(next) == Some(&b'\n') {
            return Some(next + 1);
        }
        from = next;
    }
    None
}

fn event(block: &Bytes) -> Option<Event> {
    let (mut id, mut data) = (Bytes::new(), None);
    let mut at = 0;
    for line in block.split(|byte| *byte == b'\n') {
        let value = |name: usize| {
            let name = name + usize::from(line.get(name) == Some(&b' '));
            block.slice(at + name..at + line.len())
        };
        if line.starts_with(b"data:") {
            data = Some(value(5));
        } else if line.starts_with(b"id:") {
            id = value(3);
        }
        at += line.len() + 1;
    }
    data.map(|data| Event { id, data })
}

#[cfg(test)]
mod tests {
    use super::{Event, Parser};
    use bytes::Bytes;

    const STREAM: &[u8] =
        b": hello\n\nid: 1\ndata: {\"a\":1}\n\ndata:x\nid:2\n\n: still here\n\nid: 3\ndata: half";

    fn all(pieces: &[&'static [u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.feed(Bytes::from_static(piece));
            while let Some(event) = parser.next() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let event =
            |id: &'static str, data: &'static str| Event { id: id.into(), data: data.into() };
        let expected = [event("1", "{\"a\":1}"), event("2", "x")];
        assert_eq!(all(&[STREAM]), expected);
        for cut in 0..=STREAM.len() {
            for second in cut..=STREAM.len() {
                let pieces = [&STREAM[..cut], &STREAM[cut..second], &STREAM[second..]];
                assert_eq!(all(&pieces), expected, "cut at {cut} and {second}");
            }
        }
    }
}
