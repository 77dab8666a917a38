//! Size limit of responses.
//!
//! A response that would exceed it is refused before its large contents are read, so no request
//! makes a node hold more than the limit. History gives way first: the oldest messages are left
//! out.

use super::{Result, Service};
use crate::size_estimate::SizeEstimate;
use longhaul_domain::{Task, TaskId};
use longhaul_wire::ProtocolError;

/// Most messages in a page of tasks, all tasks together.
const MAX_MESSAGES_PER_PAGE: u32 = 10_000;

/// Messages shown of each task of a page.
pub fn history_per_task(requested: u32, page_size: u32) -> u32 {
    requested.min(MAX_MESSAGES_PER_PAGE / page_size.max(1))
}

impl Service {
    /// Makes a task fit into a response.
    pub(super) fn fit_task(&self, task: &mut Task) -> Result<()> {
        let limit = self.options.max_answer_bytes;
        if fit_to_limit(task, limit) { Ok(()) } else { Err(too_large(task.key.task, limit)) }
    }

    /// Makes a page of tasks fit into a response: if it is too large, each task gets an equal share
    /// for its history.
    pub(super) fn fit_page(&self, tasks: &mut [Task]) -> Result<()> {
        let limit = self.options.max_answer_bytes;
        let total: u64 = tasks.iter().map(|task| SizeEstimate::WithBlobs.task(task)).sum();
        if total <= limit {
            return Ok(());
        }
        let bare: u64 =
            tasks.iter().map(|task| SizeEstimate::WithBlobs.without_history(task)).sum();
        let Some(left) = limit.checked_sub(bare) else {
            return Err(page_too_large(limit));
        };
        // Equal shares: a long history must not starve the others.
        let share = left / (tasks.len() as u64).max(1);
        for task in tasks {
            keep_newest(task, share);
        }
        Ok(())
    }
}

/// Drops the oldest messages until the task fits; false if it is too large without any.
pub fn fit_to_limit(task: &mut Task, limit: u64) -> bool {
    let left = limit.checked_sub(SizeEstimate::WithBlobs.without_history(task));
    left.inspect(|left| keep_newest(task, *left)).is_some()
}

fn keep_newest(task: &mut Task, mut left: u64) {
    let fits = task.history.iter().rev().take_while(|item| {
        let rest = left.checked_sub(SizeEstimate::WithBlobs.message(&item.message));
        left = rest.unwrap_or(0);
        rest.is_some()
    });
    let fitting = fits.count();
    task.history.drain(..task.history.len() - fitting);
}

/// Error for a task that exceeds any response.
pub fn too_large(task: TaskId, limit: u64) -> ProtocolError {
    ProtocolError::UnsupportedOperation(format!(
        "task {task} is larger than an answer may be ({limit} bytes); stream it piece by piece with SubscribeToTask and Last-Event-ID: 0"
    ))
}

/// Error for a page that exceeds any response.
pub fn page_too_large(limit: u64) -> ProtocolError {
    let why = format!(
        "makes an answer of more than {limit} bytes; ask for fewer tasks, or without includeArtifacts"
    );
    ProtocolError::invalid("pageSize", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{
        AgentName, Artifact, ArtifactId, Blob, BlobHash, BlobKind, BlobRef, Content, ContextId,
        HistoryItem, Message, MessageId, OwnerId, Part, Role, Seq, TaskKey, Timestamp,
    };
    use uuid::Uuid;

    fn large(size: u64) -> Part {
        let Blob { hash, .. } = Blob { hash: BlobHash::digest(b"x"), bytes: Vec::new().into() };
        Part::new(Content::Blob(BlobRef { hash, size, kind: BlobKind::Raw }))
    }

    fn task(messages: i64, size: u64) -> Task {
        let key = TaskKey { owner: OwnerId(1), task: TaskId::new(Uuid::from_u128(7)) };
        let (agent, context) = (AgentName::new("echo").unwrap(), ContextId::new("c").unwrap());
        let mut task = Task::begin(key, agent, context, Timestamp::UNIX_EPOCH);
        task.history = (1..=messages)
            .map(|seq| {
                let id = MessageId::new("m").unwrap();
                let message = Message::new(id, Role::User, vec![large(size)]);
                HistoryItem { seq: Seq(seq), message }
            })
            .collect();
        task
    }

    #[test]
    fn the_oldest_messages_give_way() {
        let mut task = task(200, 10 << 20);
        assert!(fit_to_limit(&mut task, 64 << 20));
        let shown: Vec<i64> = task.history.iter().map(|item| item.seq.0).collect();
        assert_eq!(shown, [195, 196, 197, 198, 199, 200]);
    }

    #[test]
    fn artifacts_are_never_left_out() {
        let mut task = task(1, 10);
        let id = ArtifactId::new("a").unwrap();
        task.artifacts.push(Artifact::new(id, vec![large(65 << 20)]));
        assert!(!fit_to_limit(&mut task, 64 << 20));
    }

    #[test]
    fn a_page_shows_a_bounded_number_of_messages() {
        assert_eq!(history_per_task(1_000, 1), 1_000);
        assert_eq!(history_per_task(1_000, 100), 100);
        assert_eq!(history_per_task(3, 100), 3);
    }
}
