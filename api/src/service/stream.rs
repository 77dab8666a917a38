//! Streams of a task's events: Send Streaming Message (A2A 3.1.2), and what it shares with
//! Subscribe to Task.
//!
//! The first frame is the task as it is; every later event follows, once and in order. With a
//! cursor the stream begins after that instead. When the node drains, the stream ends early, even
//! in the middle of a replay, and the client continues elsewhere with its cursor. It also ends when
//! its log is permanently unreadable.

use super::{
    BudgetPermit, Budgeted, Caller, Result, Service,
    accept::AcceptedSend,
    direct_reply::{DIRECT_REPLY_WINDOW, direct_reply},
    frame::{EventFrame, EventTask},
    rules::StreamEnd,
    wait_limiter::Waiter,
};
use crate::hub::{LogSubscription, SharedEntry};
use longhaul_domain::{ArtifactId, EntryBody, Message, Seq, Task, TaskState};
use longhaul_runtime::Backoff;
use longhaul_wire::{SendRequest, StreamEvent, trim_history};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The frames of one stream.
pub struct EventStream {
    service: Arc<Service>,
    task: Arc<EventTask>,
    events: LogSubscription,
    until: StreamEnd,
    /// Last entry that the client has.
    shown: Seq,
    /// Frames ready to be taken.
    ready: VecDeque<EventFrame>,
    /// Entries received from the hub and not yet turned into frames.
    entries: VecDeque<Arc<SharedEntry>>,
    ended: bool,
    /// Entry in the wait limiter, until the task of the stream's message begins.
    waiter: Option<Waiter>,
    /// Budget of the first frame.
    permit: BudgetPermit,
    /// Artifacts in entries that were not shown, with their order of appearance.
    left_out: BTreeMap<ArtifactId, usize>,
}

impl EventStream {
    /// A stream of what follows in `events`.
    pub(super) fn new(
        service: Arc<Service>,
        task: EventTask,
        events: LogSubscription,
        until: StreamEnd,
    ) -> Self {
        let (ready, entries) = (VecDeque::new(), VecDeque::new());
        let (task, shown) = (Arc::new(task), Seq::START);
        let (ended, waiter, permit) = (false, None, BudgetPermit::default());
        let left_out = BTreeMap::new();
        Self {
            service,
            task,
            events,
            until,
            shown,
            ready,
            entries,
            ended,
            waiter,
            permit,
            left_out,
        }
    }

    /// Skips the frames up to a place, which may lie in the future.
    pub(super) fn skipping_to(mut self, shown: Seq) -> Self {
        self.shown = shown;
        self
    }

    /// Puts a frame first.
    pub(super) fn first(mut self, event: StreamEvent, cursor: Seq) -> Self {
        self.ready.push_back(EventFrame::owned(cursor, event));
        self
    }

    /// Puts a frame first that may be large; its budget is held until the next frame is asked for.
    pub(super) fn first_budgeted(mut self, event: Budgeted<StreamEvent>, cursor: Seq) -> Self {
        self.permit = event.permit;
        self.first(event.value, cursor)
    }

    /// Puts entries first that were received already.
    fn with_entries(mut self, entries: Vec<Arc<SharedEntry>>) -> Self {
        self.entries.extend(entries);
        self
    }

    /// Ends the stream after the frames that are ready.
    pub(super) fn ended(mut self, ended: bool) -> Self {
        self.ended = ended;
        self
    }

    /// The next frame; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<EventFrame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            // The first frame was taken: its budget is free.
            self.permit = BudgetPermit::default();
            if self.ended {
                return None;
            }
            // A drain ends the stream in the middle of a replay, too.
            let draining = self.service.draining.clone();
            let went_on = draining.run_until_cancelled(self.advance()).await;
            if let Some(Err(error)) = &went_on {
                tracing::error!(%error, task_id = %self.task.0.task, "stream aborted");
            }
            // `None`: the node drains.
            if !matches!(went_on, Some(Ok(()))) {
                self.ended = true;
            }
        }
    }

    /// Takes the artifacts that the client already has, in their order. Complete once there is a
    /// frame.
    pub fn take_left_out(&mut self) -> Vec<ArtifactId> {
        let left_out = std::mem::take(&mut self.left_out);
        let mut ids: Vec<_> = left_out.into_iter().collect();
        ids.sort_unstable_by_key(|(_, position)| *position);
        ids.into_iter().map(|(id, _)| id).collect()
    }

    fn leave_out(&mut self, artifact: &ArtifactId) {
        if !self.left_out.contains_key(artifact) {
            self.left_out.insert(artifact.clone(), self.left_out.len());
        }
    }

    /// True when no frame is to come.
    pub fn is_exhausted(&self) -> bool {
        self.ended && self.ready.is_empty() && self.entries.is_empty()
    }

    /// A further frame that is ready now.
    pub fn ready(&mut self) -> Option<EventFrame> {
        while self.ready.is_empty() && !self.ended && !self.service.draining.is_cancelled() {
            if self.entries.is_empty() {
                self.entries = self.events.ready().into();
            }
            // Peeked: an entry with blobs stays for `advance`, which may wait.
            let entry = Arc::clone(self.entries.front()?);
            if self.shows(&entry) && entry.body.has_blobs() {
                return None;
            }
            self.entries.pop_front();
            self.push_frame(&entry);
        }
        self.ready.pop_front()
    }

    /// Turns the next entry into a frame, or receives entries. Cancel-safe.
    async fn advance(&mut self) -> longhaul_store::Result<()> {
        match self.entries.front().cloned() {
            None => {
                self.entries = self.events.next().await?.into();
                self.waiter.take().into_iter().for_each(Waiter::task_begun);
            }
            Some(entry) => {
                // Popped only after the wait, so a cancelled call loses no entry.
                let resolved = self.resolved(&entry).await?;
                self.entries.pop_front();
                self.push_frame(&resolved);
            }
        }
        Ok(())
    }

    /// True when an entry becomes a frame.
    fn shows(&self, entry: &SharedEntry) -> bool {
        entry.body.is_event() && entry.seq > self.shown
    }

    /// Turns an entry that has its large contents into a frame, if it is an event.
    fn push_frame(&mut self, entry: &Arc<SharedEntry>) {
        if self.shows(entry) {
            self.ready.push_back(EventFrame::shared(Arc::clone(entry), Arc::clone(&self.task)));
        } else if let EntryBody::Artifact(update) = &entry.body {
            self.leave_out(&update.artifact.artifact_id);
        }
        if let Some(change) = entry.body.status() {
            self.ended = self.until.ends_with(change.state, entry.seq);
        }
    }

    /// The entry with its large contents, if it is shown; retries while the store is unavailable.
    async fn resolved(&self, entry: &Arc<SharedEntry>) -> longhaul_store::Result<Arc<SharedEntry>> {
        let mut failures = 0;
        loop {
            if !self.shows(entry) {
                return Ok(Arc::clone(entry));
            }
            match self.service.resolve_entry(self.task.0.owner, entry).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "blob read failed for a stream");
                    tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
                    failures = failures.saturating_add(1);
                }
                done => return done,
            }
        }
    }
}

/// True for entries that show that the agent answers with a task, or that are its reply. A bare
/// `working` is neither.
fn decides(entry: &SharedEntry) -> bool {
    match entry.body.status() {
        Some(change) => {
            change.state != TaskState::Working
                || change.message.is_some()
                || change.metadata.is_some()
        }
        None => entry.body.is_event(),
    }
}

impl Service {
    /// Accepts a message and streams its task's events.
    pub async fn stream(
        self: &Arc<Self>,
        caller: &Caller,
        request: SendRequest,
    ) -> Result<EventStream> {
        let history = request.history_length;
        let mut accepted = self.accept(caller, request, true).await?;
        let mut budget = BudgetPermit::default();
        if !accepted.complete {
            let Budgeted { value, permit } = self.read_accepted(caller, &accepted, history).await?;
            accepted.events.start_at(value.last_seq);
            (accepted.task, budget) = (value, permit);
        }
        let (received, reply) = self.await_direct_reply(caller, &mut accepted).await?;
        let until = StreamEnd::AfterSend(caller.rules.ends, accepted.message_seq);
        let AcceptedSend { task, events, waiter, .. } = accepted;
        let ended = until.ends_with(task.status.state, task.status.seq);
        let (key, cursor) = ((task.key, task.context.clone()), task.last_seq);
        let mut stream = EventStream::new(Arc::clone(self), key, events, until);
        stream.waiter = waiter;
        if let Some(mut message) = reply {
            self.resolve_message(caller, &mut message).await?;
            let cursor = received.last().map_or(cursor, |entry| entry.seq);
            return Ok(stream.first(StreamEvent::Message(message), cursor).ended(true));
        }
        let event = Budgeted { value: task, permit: budget };
        let event = self.snapshot_event(caller, event, history).await?;
        Ok(stream.first_budgeted(event, cursor).with_entries(received).ended(ended))
    }

    /// First frame of a stream.
    pub(super) async fn snapshot_event(
        &self,
        caller: &Caller,
        Budgeted { value: mut task, permit }: Budgeted<Task>,
        history: Option<u32>,
    ) -> Result<Budgeted<StreamEvent>> {
        trim_history(&mut task, history);
        let permit = self.show_task(caller, &mut task, permit).await?;
        Ok(Budgeted { value: StreamEvent::Task(Box::new(task)), permit })
    }

    /// Waits for a direct reply, if the agent may give one. Returns the entries received meanwhile.
    async fn await_direct_reply(
        &self,
        caller: &Caller,
        accepted: &mut AcceptedSend,
    ) -> Result<(Vec<Arc<SharedEntry>>, Option<Message>)> {
        let mut received = Vec::new();
        if !accepted.agent.direct || !caller.rules.replies {
            return Ok((received, None));
        }
        if let Some(message) = self.earlier_reply(caller, accepted).await? {
            return Ok((received, Some(message)));
        }
        let status = &accepted.task.status;
        if StreamEnd::AfterSend(caller.rules.ends, accepted.message_seq)
            .ends_with(status.state, status.seq)
        {
            return Ok((received, None));
        }
        let until = tokio::time::sleep(DIRECT_REPLY_WINDOW);
        tokio::pin!(until);
        loop {
            let entries = tokio::select! {
                entries = accepted.events.next() => entries.map_err(|e| caller.failed(&e))?,
                () = &mut until => return Ok((received, None)),
                () = self.draining.cancelled() => return Ok((received, None)),
            };
            accepted.task_begun();
            let decided = entries.iter().any(|entry| decides(entry));
            received.extend(entries);
            if decided {
                let direct = received.iter().find_map(|entry| direct_reply(entry)).cloned();
                return Ok((received, direct));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{
        Artifact, ArtifactId, ArtifactUpdate, JsonObject, LogEntry, MessageId, Note, Part, Role,
        Timestamp, log::StatusChange,
    };

    fn shows(body: EntryBody) -> bool {
        let (seq, at, attempt) = (Seq(2), Timestamp::UNIX_EPOCH, 1);
        decides(&SharedEntry::from(LogEntry { seq, at, attempt, body }))
    }

    #[test]
    fn the_first_sign_of_a_task_ends_the_direct_reply_window() {
        let message =
            Message::new(MessageId::new("m").unwrap(), Role::Agent, vec![Part::text("x")]);
        let status = |state, message| EntryBody::Status(StatusChange::with(state, message));
        assert!(!shows(status(TaskState::Working, None)), "it has begun");
        assert!(!shows(EntryBody::Note(Note::CancelRequested)));
        assert!(shows(status(TaskState::Working, Some(message.clone()))), "progress");
        let metadata = Some(JsonObject::parse("{\"percent\":1}").unwrap());
        let quiet = StatusChange { metadata, ..StatusChange::to(TaskState::Working) };
        assert!(shows(EntryBody::Status(quiet)), "progress without words");
        let artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text("x")]);
        assert!(shows(EntryBody::Artifact(ArtifactUpdate::complete(artifact))));
        assert!(shows(status(TaskState::Completed, Some(message))), "the reply, or an end");
        assert!(shows(status(TaskState::InputRequired, None)));
    }
}
