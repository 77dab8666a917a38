//! Server-sent events (WHATWG HTML, section 9.2), parsed from bytes as they come.
//!
//! Parsing takes time in proportion to the bytes, and an event that is too large fails the stream
//! instead of filling the memory. Bytes that are no UTF-8 are replaced.

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The latest id of the stream.
    pub id: Option<String>,
    /// The data, its lines joined.
    pub data: String,
}

/// Longest line and longest event, in bytes.
const MAX_EVENT_BYTES: usize = 256 << 20;

/// An event that is too large; the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream of events has an event of more than {MAX_EVENT_BYTES} bytes")]
pub struct EventTooLarge;

/// An incremental parser.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_cr: bool,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl SseParser {
    /// Adds bytes; returns the events that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, EventTooLarge> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                // The line feed of a CR LF pair ends no second line, even if it comes with the next
                // bytes.
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    events.extend(self.end_line());
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(*byte);
                }
            }
        }
        // Checked once for each read, so the excess is at most what one read returned.
        if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
            Err(EventTooLarge)
        } else {
            Ok(events)
        }
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => {
                self.id = Some(value.to_owned()).filter(|id| !id.is_empty());
            }
            // Comments have an empty field name; A2A uses no other field.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        // The id stays for later events that carry none.
        Some(SseEvent { id: self.id.clone(), data: std::mem::take(&mut self.data) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, data: &str) -> SseEvent {
        SseEvent { id: id.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn events_are_whole_wherever_the_bytes_are_split() {
        let text =
            "id: 1\ndata: ä\ndata: b\n\n: comment\r\n\r\ndata:x\r\rid: 2\nevent: e\ndata: y\n\n";
        let expected = [event(Some("1"), "ä\nb"), event(Some("1"), "x"), event(Some("2"), "y")];
        for size in 1..=text.len() {
            let mut parser = SseParser::default();
            let events: Vec<SseEvent> =
                text.as_bytes().chunks(size).flat_map(|cut| parser.feed(cut).unwrap()).collect();
            assert_eq!(events, expected, "split into chunks of {size}");
        }
    }

    #[test]
    fn an_incomplete_event_is_not_returned() {
        assert_eq!(SseParser::default().feed(b"data: half\n").unwrap(), []);
    }

    #[test]
    fn an_empty_id_clears_the_previous_one() {
        let events = SseParser::default().feed(b"id: 1\ndata: a\n\nid\ndata: b\n\n").unwrap();
        assert_eq!(events, [event(Some("1"), "a"), event(None, "b")]);
    }
}
