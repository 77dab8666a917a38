//! The artifact that the script makes, and checks of it.

use serde::Deserialize;

/// An artifact of equal chunks.
#[derive(Debug, Clone, Copy)]
pub struct ScriptedArtifact {
    /// Number of chunks.
    pub count: usize,
    /// Bytes of text per chunk.
    pub size: usize,
}

#[derive(Deserialize)]
struct ArtifactTaskResponse<'a> {
    #[serde(borrow)]
    result: TaskWithArtifacts<'a>,
}

#[derive(Deserialize)]
struct TaskWithArtifacts<'a> {
    #[serde(borrow)]
    artifacts: Vec<WireArtifact<'a>>,
}

/// An artifact on the wire, or a chunk of one.
#[derive(Deserialize)]
pub struct WireArtifact<'a> {
    #[serde(borrow)]
    parts: Vec<WireTextPart<'a>>,
}

#[derive(Deserialize)]
struct WireTextPart<'a> {
    text: &'a str,
}

impl ScriptedArtifact {
    /// Total bytes of text.
    pub const fn bytes(self) -> usize {
        self.count * self.size
    }

    /// Checks the parts after the first `seen`; returns the new number of parts.
    pub fn check(self, seen: usize, artifact: &WireArtifact<'_>) -> usize {
        for (position, part) in artifact.parts.iter().enumerate() {
            self.check_text(seen + position + 1, part.text);
        }
        seen + artifact.parts.len()
    }

    /// Checks a complete task.
    pub fn check_task(self, body: &[u8]) {
        let reply: ArtifactTaskResponse<'_> =
            serde_json::from_slice(body).expect("the answer is a task");
        let all = reply.result.artifacts.iter().fold(0, |seen, one| self.check(seen, one));
        assert_eq!(all, self.count, "the task lacks parts");
    }

    /// Checks a text: its number, then sixteen digits repeated up to the size.
    fn check_text(self, number: usize, text: &str) {
        const PATTERN: &[u8] = b"0123456789abcdef";
        assert_eq!(text.len(), self.size, "chunk {number} has another size");
        let (head, rest) = text.split_at(8);
        assert_eq!(head.trim_end().parse(), Ok(number), "a chunk is out of order");
        let right = rest.as_bytes().chunks(PATTERN.len()).all(|some| PATTERN.starts_with(some));
        assert!(right, "chunk {number} has other contents");
    }
}

#[cfg(test)]
mod tests {
    use super::ScriptedArtifact;

    const ARTIFACT: ScriptedArtifact = ScriptedArtifact { count: 1, size: 30 };

    #[test]
    fn a_chunk_of_the_script_is_right() {
        ARTIFACT.check_text(7, "0000007 0123456789abcdef012345");
    }

    #[test]
    #[should_panic(expected = "other contents")]
    fn a_chunk_with_another_digit_is_wrong() {
        ARTIFACT.check_text(7, "0000007 0123456789abcdef012346");
    }
}
