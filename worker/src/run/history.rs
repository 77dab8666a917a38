//! What was said before a run, read for that run alone.
//!
//! A claim brings facts only. A history is read after it, from the newest message on, in pages and within a budget of bytes, by a
//! few runs of a worker at a time. A read that fails or is slow holds up its own run: it is tried again for a while, and then counts
//! as a failed attempt, so that a task which cannot be read ends as a dead letter. When the store is away for everybody, the lease
//! ends first, and no attempt is counted.

use super::Run;
use longhaul_domain::{EntryBody, HistoryItem, JsonObject, Seq, log::UserMessage};
use longhaul_executor::{ExecutorFailure, OutputStopped};
use longhaul_runtime::Backoff;
use longhaul_store::{HistoryPage, HistoryQuery, StoreError};
use std::time::Duration;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

/// Most messages with which a run begins.
pub const MAX_HISTORY_MESSAGES: u32 = 1_000;

/// Most bytes of stored messages with which a run begins; the client's last message is there whatever its size.
pub const MAX_HISTORY_BYTES: u64 = 1 << 20;

/// Messages of one page. The store looks at the sizes of all of them, so a page is not longer than its bytes could fill.
const PAGE_MESSAGES: u32 = 64;

/// Longest time that all reads of one run may take.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Shortest time between attempts whose history cannot be read.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the reads of a worker share.
pub struct HistoryReads(Semaphore);

impl HistoryReads {
    /// So many runs read at a time.
    pub fn new(at_once: usize) -> Self {
        Self(Semaphore::new(at_once.max(1)))
    }
}

/// What was said before a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The newest messages.
    pub items: Vec<HistoryItem>,
    /// Where the older messages end that are not among them.
    pub earlier_before: Option<Seq>,
    /// Metadata of the request that brought the client's last message.
    pub request_metadata: Option<JsonObject>,
    /// Media types that the client's last message asks for.
    pub accepted_output_modes: Vec<String>,
    /// Metadata of the task's first message.
    pub first_metadata: Option<JsonObject>,
    /// Metadata of the client's last message.
    pub last_metadata: Option<JsonObject>,
}

/// Why a run does not begin.
#[derive(Debug)]
pub enum NotRead {
    /// It was stopped before.
    Stopped(OutputStopped),
    /// The history cannot be read.
    Failed(Box<ExecutorFailure>),
}

impl Run<'_> {
    /// Reads what was said, unless it came with the claim.
    pub(super) async fn read_history(&mut self) -> Result<History, NotRead> {
        if let Some(opening) = self.claimed.opening.take() {
            let mut history = History::default();
            history.take_first(opening.message.metadata.as_ref());
            history.take_last(self.claimed.message_seq, opening, true);
            return Ok(history);
        }
        tokio::select! {
            biased;
            stopped = self.signals.wait_stopped() => Err(NotRead::Stopped(stopped)),
            read = self.read_in_turn() => read.map_err(|error| {
                let cause = format!("what was said to the task could not be read: {error}");
                tracing::warn!(%error, task_id = %self.claimed.key.task, "history read failed");
                NotRead::Failed(Box::new(ExecutorFailure::retryable(cause).after(RETRY_AFTER)))
            }),
        }
    }

    async fn read_in_turn(&self) -> Result<History, StoreError> {
        // The semaphore is never closed.
        let _turn = self.env.history_reads.0.acquire().await.map_err(StoreError::unavailable)?;
        let deadline = Instant::now() + READ_TIMEOUT;
        let (last, said) = (self.claimed.last_seq, self.claimed.message_seq);
        let mut history = self.newest(last.next(), deadline).await?;
        let oldest = history.items.first().map_or(last.next(), |item| item.seq);
        if said < oldest {
            let page = self.one_before(said.next(), deadline).await?;
            let found = page.entries.into_iter().next_back().filter(|(seq, _)| *seq == said);
            match found {
                Some((_, EntryBody::Message(user))) => history.take_last(said, user, true),
                _ => {
                    return Err(StoreError::Corrupt {
                        what: "task_state.message_seq".to_owned(),
                        cause: "not a message of the client".to_owned(),
                    });
                }
            }
        }
        let first = Seq::START.next();
        if oldest > first {
            let page = self.one_before(first.next(), deadline).await?;
            let metadata =
                page.entries.first().and_then(|(_, body)| body.message()?.metadata.as_ref());
            history.take_first(metadata);
        }
        Ok(history)
    }

    /// The newest messages before a place, as many as a run may begin with.
    async fn newest(&self, before: Seq, deadline: Instant) -> Result<History, StoreError> {
        let mut history = History::default();
        let mut newest_first = Vec::new();
        let (mut before, mut bytes) = (before, MAX_HISTORY_BYTES);
        let mut left = MAX_HISTORY_MESSAGES;
        loop {
            let query = HistoryQuery { before, rows: left.min(PAGE_MESSAGES), bytes };
            let page = self.page(query, deadline).await?;
            let count = u32::try_from(page.entries.len()).unwrap_or(u32::MAX);
            for (seq, body) in page.entries.into_iter().rev() {
                before = seq;
                bytes = bytes.saturating_sub(body.stored_len() as u64);
                match body {
                    EntryBody::Message(user) => {
                        if seq == Seq::START.next() {
                            history.take_first(user.message.metadata.as_ref());
                        }
                        let message = user.message.clone();
                        if seq == self.claimed.message_seq {
                            history.take_last(seq, user, false);
                        }
                        newest_first.push(HistoryItem { seq, message });
                    }
                    other => newest_first.extend(
                        other.message().cloned().map(|message| HistoryItem { seq, message }),
                    ),
                }
            }
            left = left.saturating_sub(count);
            if !page.more || count == 0 {
                break;
            }
            // A page that is short for another reason than the beginning of the log has used up the bytes.
            if left == 0 || count < query.rows {
                history.earlier_before = Some(before);
                break;
            }
        }
        newest_first.reverse();
        history.items = newest_first;
        Ok(history)
    }

    /// The message right before a place, whatever its size.
    async fn one_before(&self, before: Seq, deadline: Instant) -> Result<HistoryPage, StoreError> {
        self.page(HistoryQuery { before, rows: 1, bytes: MAX_HISTORY_BYTES }, deadline).await
    }

    /// One page. A store that does not answer is asked again until the deadline.
    async fn page(
        &self,
        query: HistoryQuery,
        deadline: Instant,
    ) -> Result<HistoryPage, StoreError> {
        let mut failures = 0;
        loop {
            let read = self.env.store.read_history(self.claimed.key, query);
            let late = || StoreError::unavailable(format!("no answer within {READ_TIMEOUT:?}"));
            match timeout_at(deadline, read).await {
                Ok(Err(error)) if error.is_transient() && Instant::now() < deadline => {
                    tracing::debug!(%error, "history read failed; trying again");
                    sleep(Backoff::RECONNECT.random_delay(failures)).await;
                    failures = failures.saturating_add(1);
                }
                Ok(answer) => return answer,
                Err(_) => return Err(late()),
            }
        }
    }
}

impl History {
    fn take_first(&mut self, metadata: Option<&JsonObject>) {
        self.first_metadata = metadata.cloned();
    }

    /// Takes what the client's last message says. `listed`: it is to be listed, too, before the others.
    fn take_last(&mut self, seq: Seq, said: UserMessage, listed: bool) {
        let UserMessage { message, request_metadata, accepted_output_modes } = said;
        self.last_metadata.clone_from(&message.metadata);
        self.request_metadata = request_metadata;
        self.accepted_output_modes = accepted_output_modes;
        if listed {
            self.items.insert(0, HistoryItem { seq, message });
        }
    }
}
