//! A task's stream, kept up over lost connections.
//!
//! With a cursor the stream resumes exactly behind the last event that was seen. A server that
//! sends no event ids has no cursors: there the stream begins again with a snapshot, of which the
//! reader skips what it knows. A send whose answer was lost before the task had a name is repeated
//! with the same message id, which attaches to the task that it made.

use crate::{A2aClient, ClientError, Decoded, Result, client::EventConnection, jsonrpc::params};
use longhaul_domain::TaskState;
use longhaul_runtime::Backoff;
use longhaul_wire::{ReceivedEvent, SendRequest, SubscribeRequest, TaskRef, v1};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::time::Duration;

/// The first request of a stream.
pub enum StreamStart {
    /// Sends a message with these parameters.
    Send(Box<RawValue>),
    /// Subscribes to a task that exists.
    Subscribe(TaskRef),
}

/// An update of a [`TaskStream`].
#[derive(Debug)]
pub enum StreamUpdate {
    /// An event of the task.
    Event(Decoded<ReceivedEvent>),
    /// The connection was lost. The stream reconnects at the next call of [`TaskStream::next`].
    Disconnected(ClientError),
}

/// Limits on reconnecting.
#[derive(Debug, Clone, Copy)]
pub struct ReconnectPolicy {
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// Most attempts in a row without an event.
    pub max_attempts: u32,
}

impl Default for ReconnectPolicy {
    /// Reconnects for some five minutes.
    fn default() -> Self {
        Self { backoff: Backoff::RECONNECT, max_attempts: 120 }
    }
}

/// The events of a task, over any number of connections.
///
/// Made by [`A2aClient::send_streaming`] and [`A2aClient::watch`]. It holds the cursor and the
/// back-off, so poll each [`next`](Self::next) to its end: a call that is dropped in the middle
/// loses its pause, and a send may be repeated.
pub struct TaskStream {
    client: A2aClient,
    start: StreamStart,
    policy: ReconnectPolicy,
    connection: Option<EventConnection>,
    task: Option<TaskRef>,
    state: Option<TaskState>,
    cursor: Option<String>,
    /// Attempts since the last event.
    failed_attempts: u32,
    /// Pause before the next attempt.
    delay: Option<Duration>,
    /// True once the server was reached.
    reached: bool,
    ended: bool,
}

impl TaskStream {
    pub(crate) fn new(client: A2aClient, start: StreamStart) -> Self {
        let task = match &start {
            StreamStart::Subscribe(task) => Some(task.clone()),
            StreamStart::Send(_) => None,
        };
        Self {
            client,
            start,
            policy: ReconnectPolicy::default(),
            connection: None,
            task,
            state: None,
            cursor: None,
            failed_attempts: 0,
            delay: None,
            reached: false,
            ended: false,
        }
    }

    /// Replaces the limits on reconnecting.
    #[must_use]
    pub fn reconnect_policy(mut self, policy: ReconnectPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The task, once it is known.
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// The latest state of the task.
    pub fn state(&self) -> Option<TaskState> {
        self.state
    }

    /// Returns the next update. `None` when the task has ended or has answered with a message, and
    /// for a send also when it waits for the sender.
    ///
    /// # Errors
    ///
    /// Fails if the server was never reached, refuses, or is away for longer than the
    /// [`ReconnectPolicy`] allows.
    pub async fn next(&mut self) -> Result<Option<StreamUpdate>> {
        while !self.ended {
            // The pause is taken here rather than where it is scheduled, so that a disconnect is
            // reported at once.
            if let Some(delay) = self.delay.take() {
                tokio::time::sleep(delay).await;
            }
            let received = match &mut self.connection {
                Some(connection) => connection.next().await,
                None => match self.connect().await {
                    Ok(Some(event)) => return Ok(Some(StreamUpdate::Event(event))),
                    Ok(None) => continue,
                    Err(error) => Err(error),
                },
            };
            match received {
                Ok(Some((cursor, raw))) => {
                    return self.accept(cursor, raw).map(StreamUpdate::Event).map(Some);
                }
                Ok(None) if self.waits_for_sender() => self.ended = true,
                // A server that drains ends its streams early; the next one continues.
                Ok(None) => self.schedule_reconnect(),
                Err(error) => {
                    self.check_retry(&error)?;
                    // Reported once for each outage; further failed attempts are silent.
                    let first = self.failed_attempts == 0;
                    self.schedule_reconnect();
                    if first {
                        return Ok(Some(StreamUpdate::Disconnected(error)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Opens the stream; returns the task as it is if there is nothing left to stream.
    async fn connect(&mut self) -> Result<Option<Decoded<ReceivedEvent>>> {
        let cursor = self.cursor.as_deref();
        let opened = match (&self.task, &self.start) {
            (None, StreamStart::Send(message)) => {
                self.client.open_stream("SendStreamingMessage", message, None).await
            }
            // Once the task has a name, a reconnect must not send the message again.
            (Some(task), _) | (None, StreamStart::Subscribe(task)) => {
                let subscribe = params(&SubscribeRequest { tenant: None, id: task.clone() })?;
                self.client.open_stream("SubscribeToTask", &subscribe, cursor).await
            }
        };
        match (opened, &self.task) {
            (Ok(connection), _) => {
                self.reached = true;
                self.connection = Some(connection);
                Ok(None)
            }
            (Err(error), Some(task)) if error.is_task_ended() => {
                self.reached = true;
                // Messages were streamed, or are not wanted: none is read again.
                let task = self.client.task(task, Some(0)).await?;
                let event = ReceivedEvent::Task(Box::new(task.value));
                self.observe(&event);
                Ok(Some(Decoded { raw: as_task_event(&task.raw)?, value: event }))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn accept(
        &mut self,
        cursor: Option<String>,
        raw: Box<RawValue>,
    ) -> Result<Decoded<ReceivedEvent>> {
        let event = Decoded::from_a2a(raw, v1::received_event)?;
        // Only an event ends an outage: a server may accept connections and fail at once.
        self.failed_attempts = 0;
        // An event without an id does not move the cursor.
        self.cursor = cursor.or(self.cursor.take());
        self.observe(&event.value);
        Ok(event)
    }

    /// Records the task and its state.
    fn observe(&mut self, event: &ReceivedEvent) {
        let (task, state) = match event {
            ReceivedEvent::Task(task) => (Some(&task.id), Some(task.status.state)),
            ReceivedEvent::Status(update) => (Some(&update.task), Some(update.status.state)),
            ReceivedEvent::Artifact(update) => (Some(&update.task), None),
            ReceivedEvent::Message(_) => (None, None),
        };
        self.task = task.cloned().or(self.task.take());
        self.state = state.or(self.state);
        let terminal = state.is_some_and(TaskState::is_terminal);
        // A question is for the sender, who answers or leaves. A watcher stays.
        let asks_sender =
            state == Some(TaskState::InputRequired) && matches!(self.start, StreamStart::Send(_));
        self.ended = terminal || asks_sender || matches!(event, ReceivedEvent::Message(_));
    }

    fn waits_for_sender(&self) -> bool {
        self.state.is_some_and(TaskState::is_parked) && matches!(self.start, StreamStart::Send(_))
    }

    /// Fails on an error that is not transient, or has lasted for too long.
    fn check_retry(&mut self, error: &ClientError) -> Result<()> {
        // A request that was sent found a server, even if its answer was lost.
        self.reached |= error.may_have_arrived();
        // A server that was never reached is a wrong address rather than an outage.
        let hopeless = !error.is_transient() || !self.reached;
        if hopeless || self.failed_attempts >= self.policy.max_attempts {
            Err(error.clone())
        } else {
            Ok(())
        }
    }

    fn schedule_reconnect(&mut self) {
        self.connection = None;
        self.delay = Some(self.policy.backoff.random_delay(self.failed_attempts));
        self.failed_attempts = self.failed_attempts.saturating_add(1);
    }
}

impl A2aClient {
    /// Sends a message and follows the task (A2A 3.1.2). Nothing is sent before the first
    /// [`TaskStream::next`].
    ///
    /// The stream ends when the task ends, asks for input, or answers with a message.
    ///
    /// # Errors
    ///
    /// Fails if the request cannot be written as JSON.
    pub fn send_streaming(&self, request: &SendRequest) -> Result<TaskStream> {
        Ok(TaskStream::new(self.clone(), StreamStart::Send(params(request)?)))
    }

    /// Follows a task that exists (A2A 3.1.6), until it ends. Nothing is sent before the first
    /// [`TaskStream::next`].
    ///
    /// ```no_run
    /// # use longhaul_client::{A2aClient, Result, TaskRef};
    /// # async fn example(client: A2aClient) -> Result<()> {
    /// let mut stream = client.watch(TaskRef::parse("0199f0c2-7b7a-7000-8000-000000000001"));
    /// while stream.next().await?.is_some() {}
    /// println!("{:?}", stream.state());
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, task: TaskRef) -> TaskStream {
        TaskStream::new(self.clone(), StreamStart::Subscribe(task))
    }
}

/// Wraps a task as a stream carries it.
fn as_task_event(task: &RawValue) -> Result<Box<RawValue>> {
    #[derive(Serialize)]
    struct TaskEvent<'a> {
        task: &'a RawValue,
    }
    to_raw_value(&TaskEvent { task }).map_err(|error| ClientError::Unreadable(error.to_string()))
}
