//! Reads the history of a task before its run.
//!
//! A claim brings facts only. The history is read afterwards, newest messages first, in pages and
//! within a byte budget, by a few runs of a worker at a time. A slow or failing read delays its own
//! run only. It is retried for a while and then counts as a failed attempt, so that an unreadable
//! task ends as a dead letter. During an outage of the store the lease is lost first, and no
//! attempt is counted.

use super::env::RunEnv;
use crate::run_signals::RunSignals;
use longhaul_domain::{EntryBody, HistoryItem, JsonObject, Seq, log::UserMessage};
use longhaul_executor::{ExecutorFailure, OutputStopped};
use longhaul_runtime::Backoff;
use longhaul_store::{ClaimedRun, HistoryPage, HistoryQuery, StoreError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Most messages with which a run begins.
pub const MAX_HISTORY_MESSAGES: u32 = 1_000;

/// Most bytes of stored messages with which a run begins. The client's last message is always
/// there, whatever its size.
pub const MAX_HISTORY_BYTES: u64 = 1 << 20;

/// Messages of one page. The store looks at the size of each, so a page is no longer than its bytes
/// could fill.
const MAX_PAGE_MESSAGES: u32 = 64;

/// Longest time for all reads of one run.
const HISTORY_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Retry delay of an attempt whose history cannot be read.
const UNREADABLE_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The history with which a run begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The newest messages.
    pub items: Vec<HistoryItem>,
    /// The sequence number before which the older messages lie.
    pub earlier_before: Option<Seq>,
    /// Metadata of the request that brought the client's last message.
    pub request_metadata: Option<JsonObject>,
    /// Media types that the client's last message accepts.
    pub accepted_output_modes: Vec<String>,
    /// Metadata of the task's first message.
    pub first_metadata: Option<JsonObject>,
    /// Metadata of the client's last message.
    pub last_metadata: Option<JsonObject>,
}

/// The error of a history that was not read.
#[derive(Debug)]
pub enum HistoryError {
    /// The run was stopped first.
    Stopped(OutputStopped),
    /// The history cannot be read.
    Failed(Box<ExecutorFailure>),
}

/// Reads the history of a claimed run, unless it came with the claim.
pub async fn read_history(
    env: &RunEnv,
    signals: &RunSignals,
    claimed: &mut ClaimedRun,
) -> Result<History, HistoryError> {
    if let Some(opening) = claimed.opening.take() {
        let mut history = History::default();
        history.set_first(opening.message.metadata.as_ref());
        history.set_last(claimed.message_seq, opening, true);
        return Ok(history);
    }
    let reader = HistoryReader { env, claimed: &*claimed };
    tokio::select! {
        biased;
        stopped = signals.wait_stopped() => Err(HistoryError::Stopped(stopped)),
        read = reader.read() => read.map_err(|error| {
            let cause = format!("what was said to the task could not be read: {error}");
            tracing::warn!(%error, task_id = %claimed.key.task, "history read failed");
            let failure = ExecutorFailure::retryable(cause).retry_after(UNREADABLE_RETRY_DELAY);
            HistoryError::Failed(Box::new(failure))
        }),
    }
}

struct HistoryReader<'a> {
    env: &'a RunEnv,
    claimed: &'a ClaimedRun,
}

impl HistoryReader<'_> {
    async fn read(&self) -> Result<History, StoreError> {
        // Held for all reads of this run.
        let permit = self.env.history_reads.acquire().await;
        let _permit = permit.map_err(StoreError::unavailable)?;
        let deadline = Instant::now() + HISTORY_READ_TIMEOUT;
        let (last_seq, message_seq) = (self.claimed.last_seq, self.claimed.message_seq);
        let mut history = self.newest(last_seq.next(), deadline).await?;
        let oldest = history.items.first().map_or(last_seq.next(), |item| item.seq);
        // The client's last message lies beyond the budget: read it by itself.
        if message_seq < oldest {
            let page = self.message_before(message_seq.next(), deadline).await?;
            let found = page.entries.into_iter().next_back();
            match found.filter(|(seq, _)| *seq == message_seq) {
                Some((_, EntryBody::Message(user))) => history.set_last(message_seq, user, true),
                _ => {
                    return Err(StoreError::Corrupt {
                        what: "task_state.message_seq".to_owned(),
                        cause: "not a message of the client".to_owned(),
                    });
                }
            }
        }
        // So does the first message, of which only the metadata is needed.
        let first = Seq::START.next();
        if oldest > first {
            let page = self.message_before(first.next(), deadline).await?;
            let metadata =
                page.entries.first().and_then(|(_, body)| body.message()?.metadata.as_ref());
            history.set_first(metadata);
        }
        Ok(history)
    }

    /// The newest messages before `before`, as many as a run may begin with.
    async fn newest(&self, before: Seq, deadline: Instant) -> Result<History, StoreError> {
        let mut history = History::default();
        let mut newest_first = Vec::new();
        let (mut before, mut bytes) = (before, MAX_HISTORY_BYTES);
        let mut left = MAX_HISTORY_MESSAGES;
        loop {
            let query = HistoryQuery { before, rows: left.min(MAX_PAGE_MESSAGES), bytes };
            let page = self.page(query, deadline).await?;
            let count = u32::try_from(page.entries.len()).unwrap_or(u32::MAX);
            for (seq, body) in page.entries.into_iter().rev() {
                before = seq;
                bytes = bytes.saturating_sub(body.stored_len() as u64);
                match body {
                    EntryBody::Message(user) => {
                        if seq == Seq::START.next() {
                            history.set_first(user.message.metadata.as_ref());
                        }
                        let message = user.message.clone();
                        if seq == self.claimed.message_seq {
                            history.set_last(seq, user, false);
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
            // A short page before the start of the log has used up the byte budget.
            if left == 0 || count < query.rows {
                history.earlier_before = Some(before);
                break;
            }
        }
        newest_first.reverse();
        history.items = newest_first;
        Ok(history)
    }

    /// The message right before `before`, whatever its size.
    async fn message_before(
        &self,
        before: Seq,
        deadline: Instant,
    ) -> Result<HistoryPage, StoreError> {
        self.page(HistoryQuery { before, rows: 1, bytes: MAX_HISTORY_BYTES }, deadline).await
    }

    /// Reads one page, retrying until the deadline while the store is unavailable.
    async fn page(
        &self,
        query: HistoryQuery,
        deadline: Instant,
    ) -> Result<HistoryPage, StoreError> {
        let mut failures = 0;
        loop {
            let read = self.env.store.read_history(self.claimed.key, query);
            match timeout_at(deadline, read).await {
                Ok(Err(error)) if error.is_transient() && Instant::now() < deadline => {
                    tracing::debug!(%error, "history read failed; retrying");
                    sleep(Backoff::RECONNECT.random_delay(failures)).await;
                    failures = failures.saturating_add(1);
                }
                Ok(answer) => return answer,
                Err(_) => {
                    let cause = format!("no answer within {HISTORY_READ_TIMEOUT:?}");
                    return Err(StoreError::unavailable(cause));
                }
            }
        }
    }
}

impl History {
    fn set_first(&mut self, metadata: Option<&JsonObject>) {
        self.first_metadata = metadata.cloned();
    }

    /// Takes over the client's last message. `listed` puts it before the other items, too.
    fn set_last(&mut self, seq: Seq, user: UserMessage, listed: bool) {
        let UserMessage { message, request_metadata, accepted_output_modes } = user;
        self.last_metadata.clone_from(&message.metadata);
        self.request_metadata = request_metadata;
        self.accepted_output_modes = accepted_output_modes;
        if listed {
            self.items.insert(0, HistoryItem { seq, message });
        }
    }
}
