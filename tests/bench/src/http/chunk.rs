//! Whether the events of a stream are right, without building documents of them.

use serde::Deserialize;

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Update<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update<'a> {
    #[serde(borrow)]
    artifact_update: Option<ArtifactUpdate<'a>>,
    #[serde(borrow)]
    status_update: Option<StatusUpdate<'a>>,
}

#[derive(Deserialize)]
struct ArtifactUpdate<'a> {
    #[serde(borrow)]
    artifact: Artifact<'a>,
}

#[derive(Deserialize)]
struct Artifact<'a> {
    #[serde(borrow)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct StatusUpdate<'a> {
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Deserialize)]
struct Status<'a> {
    state: &'a str,
}

/// The chunks that have come of a stream of `script`, which numbers them from one.
#[derive(Debug, Default)]
pub struct Chunks {
    seen: u32,
    completed: bool,
}

impl Chunks {
    /// Takes the data of the next event and gives the number of chunks in it; or says what is wrong with it.
    pub fn take(&mut self, data: &[u8]) -> Result<u32, String> {
        self.take_each(data, |_| ())
    }

    /// [`Chunks::take`] that also hands over the text of each chunk.
    pub fn take_each(&mut self, data: &[u8], each: impl FnMut(&str)) -> Result<u32, String> {
        let checked = self.check(data, each);
        checked.map_err(|wrong| format!("{wrong}: {}", String::from_utf8_lossy(data)))
    }

    /// Whether all of so many chunks and the end have come.
    pub const fn are_all(&self, count: u32) -> bool {
        self.seen == count && self.completed
    }

    fn check(&mut self, data: &[u8], mut each: impl FnMut(&str)) -> Result<u32, String> {
        let reply: Reply<'_> = serde_json::from_slice(data).map_err(|error| error.to_string())?;
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
    fn chunks_come_in_order_and_then_the_end() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(br#"{"result":{"task":{"id":"t"}}}"#), Ok(0));
        assert_eq!(chunks.take(chunk(1).as_bytes()), Ok(1));
        assert_eq!(chunks.take(chunk(2).as_bytes()), Ok(1));
        assert!(!chunks.are_all(2), "the end has not come");
        let end = br#"{"result":{"statusUpdate":{"status":{"state":"TASK_STATE_COMPLETED"}}}}"#;
        assert_eq!(chunks.take(end), Ok(0));
        assert!(chunks.are_all(2));
    }

    #[test]
    fn a_chunk_too_few_or_twice_is_wrong() {
        let mut chunks = Chunks::default();
        assert!(chunks.take(chunk(2).as_bytes()).is_err());
        assert_eq!(chunks.take(chunk(1).as_bytes()), Ok(1));
        assert!(chunks.take(chunk(1).as_bytes()).is_err());
    }
}
