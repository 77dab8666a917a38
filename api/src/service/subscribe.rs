//! Subscribe to Task (A2A 3.1.6), and resumption by cursor, which is an extension.
//!
//! Without a cursor: the task as it is, then what follows; an ended task cannot be subscribed to.
//! With one: every event after it, without the snapshot, even if the task has ended meanwhile. A
//! cursor beyond the log's end is waited for while the task goes on. For a client that identifies
//! artifacts by position, the log before the cursor is read as well, and not shown.

use super::{
    Caller, Result, Service,
    rules::{ArtifactKeys, StreamEnd},
    stream::EventStream,
};
use longhaul_domain::Seq;
use longhaul_store::SnapshotOptions;
use longhaul_wire::{ProtocolError, SubscribeRequest};
use std::sync::Arc;

impl Service {
    /// Streams a task from now on, or from after a cursor.
    pub async fn subscribe(
        self: &Arc<Self>,
        caller: &Caller,
        request: SubscribeRequest,
        cursor: Option<Seq>,
    ) -> Result<EventStream> {
        match cursor {
            Some(cursor) => self.resume(caller, request, cursor).await,
            None => self.follow(caller, request).await,
        }
    }

    async fn follow(
        self: &Arc<Self>,
        caller: &Caller,
        request: SubscribeRequest,
    ) -> Result<EventStream> {
        let task = self.budgeted_snapshot(caller, &request.id, SnapshotOptions::ALL).await?;
        let ended = task.status.state.is_terminal();
        if ended && !caller.rules.ended_shown {
            return Err(ProtocolError::UnsupportedOperation(format!(
                "the task is already {}; fetch it with GetTask, or send Last-Event-ID to replay its events",
                task.status.state
            )));
        }
        // From the snapshot's last entry on: nothing is missed or repeated.
        let events = self.hub.subscribe(task.key, task.last_seq, task.last_seq);
        let until = StreamEnd::Subscription(caller.rules.ends, task.status.seq);
        // A parked task may be the end already, before 1.0.
        let over = until.ends_with(task.status.state, task.status.seq);
        let (key, last) = ((task.key, task.context.clone()), task.last_seq);
        let event = self.snapshot_event(caller, task, None).await?;
        let stream = EventStream::new(Arc::clone(self), key, events, until);
        Ok(stream.first_budgeted(event, last).ended(over))
    }

    async fn resume(
        self: &Arc<Self>,
        caller: &Caller,
        request: SubscribeRequest,
        cursor: Seq,
    ) -> Result<EventStream> {
        let task = self.snapshot(caller, &request.id, SnapshotOptions::STATUS).await?;
        // Entries before a later cursor are received, too: the end of the task may be among them.
        let from = match caller.rules.artifacts {
            ArtifactKeys::ById => cursor.min(task.last_seq),
            ArtifactKeys::ByPosition => Seq::START,
        };
        let events = self.hub.subscribe(task.key, from, task.last_seq);
        // A client that knows a settled task to its end has nothing more to come.
        let until = StreamEnd::Subscription(caller.rules.ends, task.status.seq);
        let status = task.status;
        let over = until.ends_with(status.state, status.seq) && cursor >= status.seq;
        let key = (task.key, task.context);
        let stream = EventStream::new(Arc::clone(self), key, events, until);
        Ok(stream.skipping_to(cursor).ended(over))
    }
}
