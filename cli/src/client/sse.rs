//! Server-sent events, taken from bytes as they come (WHATWG HTML, section 9.2).

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The last id that the stream has named so far.
    pub id: Option<String>,
    /// Its data, lines joined.
    pub data: String,
}

/// Longest line and longest event, bytes. A stream that is beyond is broken.
const LIMIT: usize = 256 << 20;

/// The stream is not one of events, or has one that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream of events has an event of more than {LIMIT} bytes")]
pub struct TooLarge;

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub struct SseReader {
    line: Vec<u8>,
    after_cr: bool,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl SseReader {
    /// Adds bytes, and gives the events that are complete now. Bytes that are no UTF-8 are replaced.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, TooLarge> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    events.extend(self.end_of_line());
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(*byte);
                }
            }
        }
        if self.line.len() + self.data.len() > LIMIT { Err(TooLarge) } else { Ok(events) }
    }

    fn end_of_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            return self.end_of_event();
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
            // Comments have an empty field name; others are not for us.
            _ => {}
        }
        None
    }

    fn end_of_event(&mut self) -> Option<SseEvent> {
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
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
    fn events_come_whole_however_the_bytes_are_cut() {
        let text =
            "id: 1\ndata: ä\ndata: b\n\n: comment\r\n\r\ndata:x\r\rid: 2\nevent: e\ndata: y\n\n";
        let expected = [event(Some("1"), "ä\nb"), event(Some("1"), "x"), event(Some("2"), "y")];
        for size in 1..=text.len() {
            let mut reader = SseReader::default();
            let events: Vec<SseEvent> =
                text.as_bytes().chunks(size).flat_map(|cut| reader.feed(cut).unwrap()).collect();
            assert_eq!(events, expected, "cut into {size}");
        }
    }

    #[test]
    fn an_event_that_was_cut_off_is_not_given() {
        assert_eq!(SseReader::default().feed(b"data: half\n").unwrap(), []);
    }

    #[test]
    fn an_empty_id_forgets_the_one_before() {
        let events = SseReader::default().feed(b"id: 1\ndata: a\n\nid\ndata: b\n\n").unwrap();
        assert_eq!(events, [event(Some("1"), "a"), event(None, "b")]);
    }
}
