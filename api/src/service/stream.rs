//! Streams of a task's events: Send Streaming Message (A2A 3.1.2), and what it shares with Subscribe to Task.
//!
//! The first frame is the task as it is, then follows every event behind it, once and in order. Where the client has a
//! cursor, the stream begins behind that instead. When the node drains, the stream ends early, also in the middle of a
//! replay, and the client goes on elsewhere with its cursor. It ends as well when its log cannot be read for good.

use super::{
    Answer, Caller, Held, Result, Service,
    accept::InFlight,
    admission::Waiter,
    direct::{HOLD_BACK, reply},
    frame::{Frame, Place},
    rules::Until,
};
use crate::hub::{Entry, Subscription};
use longhaul_domain::{EntryBody, Message, Seq, Task, TaskState};
use longhaul_runtime::Backoff;
use longhaul_wire::{SendRequest, StreamEvent, trim_history, v0::ArtifactIndexes};
use std::{collections::VecDeque, sync::Arc};

/// The frames of one stream.
pub struct EventStream {
    service: Arc<Service>,
    place: Arc<Place>,
    events: Subscription,
    until: Until,
    /// The client has everything up to here.
    shown: Seq,
    /// Frames that are ready.
    ready: VecDeque<Frame>,
    /// Entries that were handed out by the hub and are not frames yet.
    entries: VecDeque<Arc<Entry>>,
    ended: bool,
    /// Until something has come of the message that the stream began with.
    waiter: Option<Waiter>,
    /// The room of the first frame.
    held: Held,
    /// The artifacts of what was left out.
    left_out: ArtifactIndexes,
}

impl EventStream {
    /// What follows in `events`, behind the frames given.
    pub(super) fn new(
        service: Arc<Service>,
        task: Place,
        events: Subscription,
        until: Until,
    ) -> Self {
        let (ready, entries) = (VecDeque::new(), VecDeque::new());
        let (place, shown) = (Arc::new(task), Seq::START);
        let (ended, waiter, held) = (false, None, Held::default());
        let left_out = ArtifactIndexes::default();
        Self { service, place, events, until, shown, ready, entries, ended, waiter, held, left_out }
    }

    /// Leaves out the frames up to a place, also where that is yet to come.
    pub(super) fn behind(mut self, shown: Seq) -> Self {
        self.shown = shown;
        self
    }

    /// Puts a frame first.
    pub(super) fn first(mut self, event: StreamEvent, cursor: Seq) -> Self {
        self.ready.push_back(Frame::own(cursor, event));
        self
    }

    /// The same with a frame that may be large. Its room is kept until it is taken and the next one is asked for.
    pub(super) fn first_of(mut self, event: Answer<StreamEvent>, cursor: Seq) -> Self {
        self.held = event.held;
        self.first(event.answer, cursor)
    }

    /// Puts entries first that the hub has handed out already.
    fn with_entries(mut self, entries: Vec<Arc<Entry>>) -> Self {
        self.entries.extend(entries);
        self
    }

    /// Ends the stream behind what is ready.
    pub(super) fn ended(mut self, ended: bool) -> Self {
        self.ended = ended;
        self
    }

    /// The next frame; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            self.held = Held::default();
            if self.ended {
                return None;
            }
            let draining = self.service.draining.clone();
            let went_on = draining.run_until_cancelled(self.advance()).await;
            if let Some(Err(error)) = &went_on {
                tracing::error!(%error, task_id = %self.place.0.task, "a stream cannot go on");
            }
            if !matches!(went_on, Some(Ok(()))) {
                self.ended = true;
            }
        }
    }

    /// The artifacts of what the client has already, as far as that went by here: once there is a frame, all of them. They are
    /// given out once.
    pub fn left_out(&mut self) -> Option<ArtifactIndexes> {
        let places = std::mem::take(&mut self.left_out);
        (places != ArtifactIndexes::default()).then_some(places)
    }

    /// True when nothing is to come.
    pub fn is_over(&self) -> bool {
        self.ended && self.ready.is_empty() && self.entries.is_empty()
    }

    /// A further frame that need not be waited for.
    pub fn ready(&mut self) -> Option<Frame> {
        while self.ready.is_empty() && !self.ended && !self.service.draining.is_cancelled() {
            if self.entries.is_empty() {
                self.entries = self.events.ready().into();
            }
            let entry = Arc::clone(self.entries.front()?);
            if self.shows(&entry) && entry.body.has_blobs() {
                return None;
            }
            self.entries.pop_front();
            self.take(&entry);
        }
        self.ready.pop_front()
    }

    /// Makes a frame of the next entry, or fetches entries. Cancel-safe.
    async fn advance(&mut self) -> longhaul_store::Result<()> {
        match self.entries.front().cloned() {
            None => {
                self.entries = self.events.next().await?.into();
                self.waiter.take().into_iter().for_each(Waiter::begun);
            }
            Some(entry) => {
                let resolved = self.resolved(&entry).await?;
                self.entries.pop_front();
                self.take(&resolved);
            }
        }
        Ok(())
    }

    /// Whether an entry becomes a frame.
    fn shows(&self, entry: &Entry) -> bool {
        entry.body.is_event() && entry.seq > self.shown
    }

    /// Makes a frame of an entry that has its large contents, if it is an event.
    fn take(&mut self, entry: &Arc<Entry>) {
        if self.shows(entry) {
            self.ready.push_back(Frame::shared(Arc::clone(entry), Arc::clone(&self.place)));
        } else if let EntryBody::Artifact(update) = &entry.body {
            self.left_out.of(&update.artifact.artifact_id);
        }
        if let Some(change) = entry.body.status() {
            self.ended = self.until.ends_with(change.state, entry.seq);
        }
    }

    /// The entry with its large contents, where it is shown; waits for a store that does not answer.
    async fn resolved(&self, entry: &Arc<Entry>) -> longhaul_store::Result<Arc<Entry>> {
        let mut failures = 0;
        loop {
            if !self.shows(entry) {
                return Ok(Arc::clone(entry));
            }
            match self.service.resolve_entry(self.place.0.owner, entry).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "cannot read a large content for a stream yet");
                    tokio::time::sleep(Backoff::DATABASE.random_delay(failures)).await;
                    failures = failures.saturating_add(1);
                }
                done => return done,
            }
        }
    }
}

/// True for entries that show that the agent answers with a task, or that are its answer. A bare `working` is neither.
fn decides(entry: &Entry) -> bool {
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
    /// Takes a message in and streams what comes of it.
    pub async fn stream(
        self: &Arc<Self>,
        caller: &Caller,
        request: SendRequest,
    ) -> Result<EventStream> {
        let history = request.history_length;
        let mut flight = self.accept(caller, request, true).await?;
        let mut room = Held::default();
        if !flight.whole {
            let Answer { answer, held } = self.read_flight(caller, &flight, history).await?;
            flight.events.start_at(answer.last_seq);
            (flight.task, room) = (answer, held);
        }
        let (held, reply) = self.hold_back(caller, &mut flight).await?;
        let until = Until::Answered(caller.rules.ends, flight.message);
        let InFlight { task, events, waiter, .. } = flight;
        let ended = until.ends_with(task.status.state, task.status.seq);
        let (key, cursor) = ((task.key, task.context.clone()), task.last_seq);
        let mut stream = EventStream::new(Arc::clone(self), key, events, until);
        stream.waiter = waiter;
        if let Some(mut message) = reply {
            self.resolve_message(caller, &mut message).await?;
            let cursor = held.last().map_or(cursor, |entry| entry.seq);
            return Ok(stream.first(StreamEvent::Message(message), cursor).ended(true));
        }
        let event = Answer { answer: task, held: room };
        let event = self.snapshot_event(caller, event, history).await?;
        Ok(stream.first_of(event, cursor).with_entries(held).ended(ended))
    }

    /// The first frame of a stream.
    pub(super) async fn snapshot_event(
        &self,
        caller: &Caller,
        Answer { answer: mut task, held }: Answer<Task>,
        history: Option<u32>,
    ) -> Result<Answer<StreamEvent>> {
        trim_history(&mut task, history);
        let held = self.show_task(caller, &mut task, held).await?;
        Ok(Answer { answer: StreamEvent::Task(Box::new(task)), held })
    }

    /// Waits a while for a direct reply, where the agent may give one. What went by meanwhile is given back.
    async fn hold_back(
        &self,
        caller: &Caller,
        flight: &mut InFlight,
    ) -> Result<(Vec<Arc<Entry>>, Option<Message>)> {
        let mut held = Vec::new();
        if !flight.agent.direct || !caller.rules.replies {
            return Ok((held, None));
        }
        if let Some(message) = self.earlier_reply(caller, flight).await? {
            return Ok((held, Some(message)));
        }
        let status = &flight.task.status;
        if Until::Answered(caller.rules.ends, flight.message).ends_with(status.state, status.seq) {
            return Ok((held, None));
        }
        let until = tokio::time::sleep(HOLD_BACK);
        tokio::pin!(until);
        loop {
            let entries = tokio::select! {
                entries = flight.events.next() => entries.map_err(|e| caller.failed(&e))?,
                () = &mut until => return Ok((held, None)),
                () = self.draining.cancelled() => return Ok((held, None)),
            };
            flight.begun();
            let decided = entries.iter().any(|entry| decides(entry));
            held.extend(entries);
            if decided {
                let direct = held.iter().find_map(|entry| reply(entry)).cloned();
                return Ok((held, direct));
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
        decides(&Entry::from(LogEntry { seq, at, attempt, body }))
    }

    #[test]
    fn the_first_sign_of_a_task_ends_the_wait_for_a_direct_reply() {
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
        assert!(shows(EntryBody::Artifact(ArtifactUpdate::whole(artifact))));
        assert!(shows(status(TaskState::Completed, Some(message))), "the reply, or an end");
        assert!(shows(status(TaskState::InputRequired, None)));
    }
}
