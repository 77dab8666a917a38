//! Checks of stream events, without building JSON documents.

use serde::Deserialize;

#[derive(Deserialize)]
struct ChunkResponse<'a> {
    #[serde(borrow)]
    result: ChunkUpdate<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChunkUpdate<'a> {
    #[serde(borrow)]
    artifact_update: Option<ChunkArtifactUpdate<'a>>,
    #[serde(borrow)]
    status_update: Option<ChunkStatusUpdate<'a>>,
}

#[derive(Deserialize)]
struct ChunkArtifactUpdate<'a> {
    #[serde(borrow)]
    artifact: ChunkArtifact<'a>,
}

#[derive(Deserialize)]
struct ChunkArtifact<'a> {
    #[serde(borrow)]
    parts: Vec<ChunkPart<'a>>,
}

#[derive(Deserialize)]
struct ChunkPart<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct ChunkStatusUpdate<'a> {
    #[serde(borrow)]
    status: ChunkStatus<'a>,
}

#[derive(Deserialize)]
struct ChunkStatus<'a> {
    state: &'a str,
}

/// The chunks received from a stream of `script`, which numbers them from one.
#[derive(Debug, Default)]
pub struct Chunks {
    seen: u32,
    completed: bool,
}

impl Chunks {
    /// Checks the data of the next event; returns the number of chunks in it.
    pub fn take(&mut self, data: &[u8]) -> Result<u32, String> {
        self.take_each(data, |_| ())
    }

    /// Like [`take`](Self::take), and calls `each` with the text of each chunk.
    pub fn take_each(&mut self, data: &[u8], each: impl FnMut(&str)) -> Result<u32, String> {
        let checked = self.check(data, each);
        checked.map_err(|wrong| format!("{wrong}: {}", String::from_utf8_lossy(data)))
    }

    /// True when `count` chunks and the end have been received.
    pub const fn is_complete(&self, count: u32) -> bool {
        self.seen == count && self.completed
    }

    fn check(&mut self, data: &[u8], mut each: impl FnMut(&str)) -> Result<u32, String> {
        let reply: ChunkResponse<'_> =
            serde_json::from_slice(data).map_err(|error| error.to_string())?;
        let before = self.seen;
        for part in reply.result.artifact_update.iter().flat_map(|update| &update.artifact.parts) {
            let number = part.text.split(' ').next().and_then(|digits| digits.parse().ok());
            if number != Some(self.seen + 1) {
                return Err(format!("not chunk {}", self.seen + 1));
            }
            self.seen += 1;
            each(part.text);
        }
        match reply.result.status_update.map(|update| update.status.state) {
            Some("TASK_STATE_FAILED") => return Err("the task failed".to_owned()),
            Some("TASK_STATE_COMPLETED") => self.completed = true,
            _ => {}
        }
        Ok(self.seen - before)
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    fn chunk(number: u32) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"artifactUpdate":{{"taskId":"t","artifact":{{"artifactId":"a","parts":[{{"text":"{number:07} 01"}}]}},"append":true}}}}}}"#
        )
    }

    #[test]
    fn chunks_are_taken_in_order_up_to_the_end() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(br#"{"result":{"task":{"id":"t"}}}"#), Ok(0));
        assert_eq!(chunks.take(chunk(1).as_bytes()), Ok(1));
        assert_eq!(chunks.take(chunk(2).as_bytes()), Ok(1));
        assert!(!chunks.is_complete(2), "the end is missing");
        let end = br#"{"result":{"statusUpdate":{"status":{"state":"TASK_STATE_COMPLETED"}}}}"#;
        assert_eq!(chunks.take(end), Ok(0));
        assert!(chunks.is_complete(2));
    }

    #[test]
    fn a_missing_or_duplicate_chunk_is_wrong() {
        let mut chunks = Chunks::default();
        assert!(chunks.take(chunk(2).as_bytes()).is_err());
        assert_eq!(chunks.take(chunk(1).as_bytes()), Ok(1));
        assert!(chunks.take(chunk(1).as_bytes()).is_err());
    }
}
