//! A parser of server-sent events that does not copy: an event borrows the bytes that were read.
//!
//! Lines must end with a line feed alone, as those of the server do. Comments are skipped.

use bytes::{Bytes, BytesMut};

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The cursor; empty when there is none.
    pub id: Bytes,
    /// The data.
    pub data: Bytes,
}

/// Cuts bytes into events.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    /// The latest bytes, not yet cut.
    fresh: Bytes,
    /// The beginning of an incomplete event.
    begun: BytesMut,
}

impl SseParser {
    pub(super) fn feed(&mut self, data: Bytes) {
        if self.fresh.is_empty() {
            self.fresh = data;
        } else {
            let mut joined = BytesMut::from(&self.fresh[..]);
            joined.extend_from_slice(&data);
            self.fresh = joined.freeze();
        }
    }

    pub(super) fn next(&mut self) -> Option<SseEvent> {
        loop {
            let block = self.block()?;
            let event = event(&block);
            if event.is_some() {
                return event;
            }
        }
    }

    /// Takes the next bytes up to a blank line.
    fn block(&mut self) -> Option<Bytes> {
        if self.begun.is_empty() {
            if let Some(end) = blank_line(&self.fresh) {
                return Some(self.fresh.split_to(end));
            }
            self.begun.extend_from_slice(&std::mem::take(&mut self.fresh));
            return None;
        }
        // The blank line may lie across two reads.
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

/// The end of the first blank line.
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

fn event(block: &Bytes) -> Option<SseEvent> {
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
    data.map(|data| SseEvent { id, data })
}

#[cfg(test)]
mod tests {
    use super::{SseEvent, SseParser};
    use bytes::Bytes;

    const STREAM: &[u8] =
        b": hello\n\nid: 1\ndata: {\"a\":1}\n\ndata:x\nid:2\n\n: still here\n\nid: 3\ndata: half";

    fn all(pieces: &[&'static [u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::default();
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
    fn events_do_not_depend_on_where_the_bytes_are_cut() {
        let event =
            |id: &'static str, data: &'static str| SseEvent { id: id.into(), data: data.into() };
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
