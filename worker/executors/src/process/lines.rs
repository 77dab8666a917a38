//! Reading lines of bounded length.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A complete line, without its line feed.
    Complete(Vec<u8>),
    /// The beginning of a line that is too long. The next read skips the rest.
    TooLong(Vec<u8>),
    /// The rest of the stream after its last line feed.
    Unfinished(Vec<u8>),
    /// The end of the stream.
    End,
}

/// Reads lines of at most `max` bytes.
pub(super) struct BoundedLines<R> {
    reader: R,
    max: usize,
    /// Set while the rest of a line that is too long has to be skipped.
    skipping: bool,
}

impl<R: AsyncBufRead + Unpin> BoundedLines<R> {
    pub const fn new(reader: R, max: usize) -> Self {
        Self { reader, max, skipping: false }
    }

    /// Reads the next line. An error of the stream counts as its end. Not cancel safe: the part of
    /// a line that was read would be lost.
    pub async fn next(&mut self) -> Line {
        let mut line = Vec::new();
        loop {
            // Bounded by the reader's buffer: a long line never has to fit into memory as a whole.
            let Ok(available) = self.reader.fill_buf().await else { return Line::End };
            if available.is_empty() {
                return if line.is_empty() { Line::End } else { Line::Unfinished(line) };
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let content = &available[..end.unwrap_or(available.len())];
            let taken = end.map_or(content.len(), |end| end + 1);
            // `line` never exceeds `max`, so the subtraction cannot underflow.
            let too_long = !self.skipping && content.len() > self.max - line.len();
            if !self.skipping {
                line.extend_from_slice(&content[..content.len().min(self.max - line.len())]);
            }
            self.reader.consume(taken);
            if too_long {
                // If the line end is in the buffer too, nothing is left to skip.
                self.skipping = end.is_none();
                return Line::TooLong(line);
            }
            if end.is_some() && !std::mem::take(&mut self.skipping) {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Line::Complete(line);
            }
        }
    }
}

/// A line for people, truncated. Bytes that are not UTF-8 are replaced.
pub(super) fn truncated(line: &[u8], max: usize) -> String {
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
            let mut lines =
                BoundedLines::new(tokio::io::BufReader::with_capacity(buffer, bytes), 4);
            for expected in ["one", "", "1234"] {
                assert_eq!(lines.next().await, Line::Complete(expected.into()));
            }
            assert_eq!(lines.next().await, Line::TooLong(b"1234".into()));
            assert_eq!(lines.next().await, Line::Unfinished(b"last".into()));
            assert_eq!(lines.next().await, Line::End);
        }
    }
}
