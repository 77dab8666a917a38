//! Reading lines of bounded length.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end.
    Whole(Vec<u8>),
    /// The beginning of a line that is longer than allowed. The rest of it is skipped by the next read.
    TooLong(Vec<u8>),
    /// What follows the last line feed of the stream.
    Unfinished(Vec<u8>),
    /// Nothing more comes.
    End,
}

/// Reads lines of at most `max` bytes.
pub(super) struct Lines<R> {
    reader: R,
    max: usize,
    /// The rest of a line that was too long comes first.
    skipping: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub const fn new(reader: R, max: usize) -> Self {
        Self { reader, max, skipping: false }
    }

    /// The next line; an error of the stream is its end. Must not be abandoned: what was read of a line would be lost.
    pub async fn next(&mut self) -> Line {
        let mut line = Vec::new();
        loop {
            let Ok(available) = self.reader.fill_buf().await else { return Line::End };
            if available.is_empty() {
                return if line.is_empty() { Line::End } else { Line::Unfinished(line) };
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let content = &available[..end.unwrap_or(available.len())];
            let taken = end.map_or(content.len(), |end| end + 1);
            let too_long = !self.skipping && content.len() > self.max - line.len();
            if !self.skipping {
                line.extend_from_slice(&content[..content.len().min(self.max - line.len())]);
            }
            self.reader.consume(taken);
            if too_long {
                self.skipping = end.is_none();
                return Line::TooLong(line);
            }
            if end.is_some() && !std::mem::take(&mut self.skipping) {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Line::Whole(line);
            }
        }
    }
}

/// A line for people: cut to a length, whatever its bytes are.
pub(super) fn shown(line: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(max)]);
    if line.len() > max { format!("{text}…") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_up_to_the_limit() {
        for buffer in [1, 3, 64] {
            let bytes = &b"one\r\n\n1234\n1234567\nlast"[..];
            let mut lines = Lines::new(tokio::io::BufReader::with_capacity(buffer, bytes), 4);
            for expected in ["one", "", "1234"] {
                assert_eq!(lines.next().await, Line::Whole(expected.into()));
            }
            assert_eq!(lines.next().await, Line::TooLong(b"1234".into()));
            assert_eq!(lines.next().await, Line::Unfinished(b"last".into()));
            assert_eq!(lines.next().await, Line::End);
        }
    }
}
