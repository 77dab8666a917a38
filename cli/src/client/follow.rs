//! One task's stream, kept up over lost connections.
//!
//! With a cursor the stream goes on exactly behind the last event that was seen. Without one (a server that names no
//! events) it begins again with a snapshot, of which whoever shows it leaves out what it has shown. A send whose answer
//! was lost before the task had a name is repeated with the same message id, which attaches to the task that it made.

use super::{
    ClientError,
    endpoint::{Answered, Endpoint, Frames},
};
use longhaul_domain::TaskState;
use longhaul_runtime::Backoff;
use longhaul_wire::{GetRequest, ReceivedEvent, SubscribeRequest, TaskRef, v1, v1::V1};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::time::Duration;

/// How a stream begins.
pub enum Begin {
    /// By sending a message; these are the parameters.
    Send(Box<RawValue>),
    /// By subscribing to a task that is there.
    Watch(TaskRef),
}

/// What came.
#[derive(Debug)]
pub struct Frame {
    /// As it came.
    pub raw: Box<RawValue>,
    /// As it reads.
    pub event: ReceivedEvent,
}

/// One step of a stream.
#[derive(Debug)]
pub enum Step {
    /// An event.
    Came(Frame),
    /// The connection broke; it is being taken up again.
    Lost(ClientError),
}

/// How long a broken stream is worth taking up again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// Attempts in a row that may fail.
    pub attempts: u32,
}

impl Default for Patience {
    /// Some five minutes.
    fn default() -> Self {
        Self { backoff: Backoff::RECONNECT, attempts: 120 }
    }
}

/// A stream that is taken up again when it breaks.
pub struct Follow<'a> {
    endpoint: &'a Endpoint,
    begin: Begin,
    patience: Patience,
    frames: Option<Frames>,
    task: Option<TaskRef>,
    state: Option<TaskState>,
    cursor: Option<String>,
    /// Attempts since the last frame that brought none.
    failed: u32,
    /// How long to wait before the next attempt.
    delay: Option<Duration>,
    /// Whether the server was reached at all.
    reached: bool,
    over: bool,
}

impl<'a> Follow<'a> {
    /// A stream that has not begun yet.
    pub fn new(endpoint: &'a Endpoint, begin: Begin, patience: Patience) -> Self {
        let task = match &begin {
            Begin::Watch(task) => Some(task.clone()),
            Begin::Send(_) => None,
        };
        Self {
            endpoint,
            begin,
            patience,
            frames: None,
            task,
            state: None,
            cursor: None,
            failed: 0,
            delay: None,
            reached: false,
            over: false,
        }
    }

    /// The task, once it is known.
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// The state that the stream has told of last.
    pub fn state(&self) -> Option<TaskState> {
        self.state
    }

    /// The next step; `None` when the task has ended, has answered with a message, or waits for the one who sent.
    ///
    /// Fails when the server was never reached, refuses, or is away for longer than the patience lasts.
    pub async fn next(&mut self) -> Result<Option<Step>, ClientError> {
        while !self.over {
            if let Some(delay) = self.delay.take() {
                tokio::time::sleep(delay).await;
            }
            let came = match &mut self.frames {
                Some(frames) => frames.next().await,
                None => match self.connect().await {
                    Ok(Some(frame)) => return Ok(Some(Step::Came(frame))),
                    Ok(None) => continue,
                    Err(error) => Err(error),
                },
            };
            match came {
                Ok(Some((cursor, raw))) => return self.take(cursor, raw).map(Step::Came).map(Some),
                Ok(None) if self.waits_for_sender() => self.over = true,
                // A server that drains ends its streams in the middle: the next one goes on.
                Ok(None) => self.pause(),
                Err(error) => {
                    self.bear(&error)?;
                    let first = self.failed == 0;
                    self.pause();
                    if first {
                        return Ok(Some(Step::Lost(error)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Opens the stream, or gives the task as it is when there is nothing left to stream.
    async fn connect(&mut self) -> Result<Option<Frame>, ClientError> {
        let cursor = self.cursor.as_deref();
        let opened = match (&self.task, &self.begin) {
            (None, Begin::Send(sent)) => {
                self.endpoint.open("SendStreamingMessage", sent, None).await
            }
            // The first answer names a task that was there before: the message is not sent again.
            (Some(task), _) | (None, Begin::Watch(task)) => {
                let subscribe = params(&SubscribeRequest { tenant: None, id: task.clone() })?;
                self.endpoint.open("SubscribeToTask", &subscribe, cursor).await
            }
        };
        match (opened, &self.task) {
            (Ok(frames), _) => {
                self.reached = true;
                self.frames = Some(frames);
                Ok(None)
            }
            (Err(error), Some(task)) if error.is_ended() => {
                self.reached = true;
                let raw = get(self.endpoint, task, Some(0)).await?;
                let task = v1::received_task(&raw).map_err(|error| unreadable(&error))?;
                let event = ReceivedEvent::Task(Box::new(task));
                self.note(&event);
                Ok(Some(Frame { raw: wrapped(&raw)?, event }))
            }
            (Err(error), _) => Err(error),
        }
    }

    fn take(&mut self, cursor: Option<String>, raw: Box<RawValue>) -> Result<Frame, ClientError> {
        let event = v1::received_event(&raw).map_err(|error| unreadable(&error))?;
        self.failed = 0;
        self.cursor = cursor.or(self.cursor.take());
        self.note(&event);
        Ok(Frame { raw, event })
    }

    /// Remembers what an event tells about where the task stands.
    fn note(&mut self, event: &ReceivedEvent) {
        let (task, state) = match event {
            ReceivedEvent::Task(task) => (Some(&task.id), Some(task.status.state)),
            ReceivedEvent::Status(update) => (Some(&update.task), Some(update.status.state)),
            ReceivedEvent::Artifact(update) => (Some(&update.task), None),
            ReceivedEvent::Message(_) => (None, None),
        };
        self.task = task.cloned().or(self.task.take());
        self.state = state.or(self.state);
        let ended = state.is_some_and(TaskState::is_terminal);
        // The sender is asked: it answers or leaves. A watcher stays.
        let asked = state == Some(TaskState::InputRequired) && matches!(self.begin, Begin::Send(_));
        self.over = ended || asked || matches!(event, ReceivedEvent::Message(_));
    }

    fn waits_for_sender(&self) -> bool {
        self.state.is_some_and(TaskState::is_parked) && matches!(self.begin, Begin::Send(_))
    }

    /// Gives up on an error that does not pass, or has lasted for too long.
    fn bear(&mut self, error: &ClientError) -> Result<(), ClientError> {
        self.reached |= error.may_have_arrived();
        let hopeless = !error.is_transient() || !self.reached;
        if hopeless || self.failed >= self.patience.attempts { Err(error.clone()) } else { Ok(()) }
    }

    /// Waits before the next attempt.
    fn pause(&mut self) {
        self.frames = None;
        self.delay = Some(self.patience.backoff.random_delay(self.failed));
        self.failed = self.failed.saturating_add(1);
    }
}

/// Gets a task as it came.
pub async fn get(endpoint: &Endpoint, task: &TaskRef, history_length: Option<u32>) -> Answered {
    let request = GetRequest { tenant: None, id: task.clone(), history_length };
    endpoint.call("GetTask", &params(&request)?).await
}

/// The parameters of a request as 1.0 writes them.
pub fn params<T>(request: &T) -> Answered
where
    for<'a> V1<'a, T>: Serialize,
{
    to_raw_value(&V1(request)).map_err(|error| ClientError::Unreadable(error.to_string()))
}

/// What a server answered is not what the protocol says.
pub fn unreadable(error: &longhaul_wire::WireError) -> ClientError {
    ClientError::Unreadable(error.to_string())
}

/// A task as the stream would have carried it.
fn wrapped(task: &RawValue) -> Answered {
    #[derive(Serialize)]
    struct Wrapped<'a> {
        task: &'a RawValue,
    }
    to_raw_value(&Wrapped { task }).map_err(|error| ClientError::Unreadable(error.to_string()))
}
