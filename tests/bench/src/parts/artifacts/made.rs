//! What the script makes, and whether that is what came.

use serde::Deserialize;

/// Chunks of one artifact.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// How many.
    pub count: usize,
    /// Bytes of text in each.
    pub size: usize,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Task<'a>,
}

#[derive(Deserialize)]
struct Task<'a> {
    #[serde(borrow)]
    artifacts: Vec<Artifact<'a>>,
}

/// An artifact or a chunk of one.
#[derive(Deserialize)]
pub struct Artifact<'a> {
    #[serde(borrow)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    text: &'a str,
}

impl Made {
    /// Bytes of text in all.
    pub const fn bytes(self) -> usize {
        self.count * self.size
    }

    /// Checks the next parts of the artifact, after so many; gives how many there are now.
    pub fn check(self, seen: usize, artifact: &Artifact<'_>) -> usize {
        for (position, part) in artifact.parts.iter().enumerate() {
            self.check_text(seen + position + 1, part.text);
        }
        seen + artifact.parts.len()
    }

    /// Checks a whole task.
    pub fn check_task(self, body: &[u8]) {
        let reply: Reply<'_> = serde_json::from_slice(body).expect("the answer is a task");
        let all = reply.result.artifacts.iter().fold(0, |seen, one| self.check(seen, one));
        assert_eq!(all, self.count, "the task lacks parts");
    }

    /// Each text tells its number, and then repeats sixteen digits up to its size.
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
    use super::Made;

    const MADE: Made = Made { count: 1, size: 30 };

    #[test]
    fn a_chunk_as_the_script_makes_it_is_right() {
        MADE.check_text(7, "0000007 0123456789abcdef012345");
    }

    #[test]
    #[should_panic(expected = "other contents")]
    fn a_chunk_with_another_digit_is_wrong() {
        MADE.check_text(7, "0000007 0123456789abcdef012346");
    }
}
