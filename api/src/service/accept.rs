//! Acceptance of messages: the common first half of Send Message and Send Streaming Message (A2A
//! 3.1.1, 3.1.2).
//!
//! A waiting client is subscribed before the message is committed, so it misses no wake-up. When
//! the node dies after the commit, the client repeats the message, is attached to the same task,
//! and a worker is woken for it. That holds even if the queue has filled up or the message's
//! deadline has passed meanwhile: an accepted message is never rejected for that. When too many
//! clients wait, nothing is looked up; a client that tries again finds the task then.

use super::{
    Caller, Result, Service, admission::QueuePermit, durability, extensions, gone, not_found,
    wait_limiter::Waiter,
};
use crate::{blocking::block_in_place_if_large, hub::LogSubscription};
use longhaul_domain::{
    AgentDescriptor, AgentName, ContextId, DurabilityOptions, EntryBody, LogEntry, Seq, Task,
    TaskId, TaskKey, Timestamp,
    bounds::{self, OutOfBounds},
    log::UserMessage,
    offload::offload_to_blobs,
};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, DedupeKey, FollowedUp, IncomingMessage, MessageLookup,
    SnapshotOptions, StoreError, TaskBudget,
};
use longhaul_wire::{ProtocolError, SendRequest, TaskRef};
use std::sync::Arc;

/// An accepted message and its task.
pub struct AcceptedSend {
    /// The task with the message; large contents by reference. Of a task that existed before, the
    /// status only.
    pub task: Task,
    /// True when `task` has its messages and artifacts.
    pub complete: bool,
    /// Subscription to what follows.
    pub events: LogSubscription,
    /// Log entry of the message.
    pub message_seq: Seq,
    /// The agent that runs the task.
    pub agent: Arc<AgentDescriptor>,
    /// Entry in the wait limiter, while a client waits for a task that has not begun.
    pub waiter: Option<Waiter>,
}

impl AcceptedSend {
    /// Records that the task has begun.
    pub fn task_begun(&mut self) {
        self.waiter.take().into_iter().for_each(Waiter::task_begun);
    }
}

impl Service {
    /// Validates a message and makes it durable. `waits` tells if the client waits for its outcome.
    pub(super) async fn accept(
        &self,
        caller: &Caller,
        mut request: SendRequest,
        waits: bool,
    ) -> Result<AcceptedSend> {
        if request.push_config.is_some() {
            return Err(ProtocolError::PushNotificationNotSupported);
        }
        check_output_modes(&request.accepted_output_modes)?;
        match request.target.take() {
            Some(task) if caller.rules.names_tasks => {
                self.accept_chosen(caller, request, &task, waits).await
            }
            Some(task) => self.accept_follow_up(caller, request, &task).await,
            None => {
                let id = self.channel.task_id(self.ids.uuid_v7());
                let key = TaskKey { owner: caller.principal.owner, task: id };
                let created = self.accept_new(caller, request, key, waits).await?;
                created.ok_or_else(|| {
                    let taken = format!("the new id {id} is that of another task");
                    caller.failed(&StoreError::Refused(taken))
                })
            }
        }
    }

    /// Creates a task with this key. `None`: another message has created the task before.
    pub(super) async fn accept_new(
        &self,
        caller: &Caller,
        request: SendRequest,
        key: TaskKey,
        waits: bool,
    ) -> Result<Option<AcceptedSend>> {
        let agent = self.agent(caller).await?;
        extensions::agree(caller, &agent, &request.message)?;
        check_media_types(&agent, &request)?;
        let options = durability::read(&request.message)?;
        durability::check_times(&options)?;
        let now = self.clock.now();
        let later = options.not_before.is_some_and(|at| at > now);
        // A task for later is meant to wait.
        let limited = waits && !later;
        let waiter = limited
            .then(|| self.admission.start_waiting(&agent.name, caller.principal.owner))
            .transpose()?;
        let context = request
            .message
            .context_id
            .clone()
            .unwrap_or_else(|| ContextId::from(self.ids.uuid_v7()));
        let (user_message, modes) = user_message(request)?;
        // The key covers the message as it was sent: our ids are new at every try.
        let accept = block_in_place_if_large(user_message.stored_len(), || {
            let dedupe = self.dedupe_key_for(&agent.name, &options, &user_message);
            let user_message = UserMessage { accepted_output_modes: modes, ..user_message };
            self.prepare(caller, user_message, dedupe, key, &context)
        })
        .await;
        // After the key: a message that is refused here may repeat an accepted one.
        let admitted = match self.admit(&agent, key, &options).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let attached = self.attach_or_refuse(caller, accept.dedupe, !later, refusal);
                return attached.await.map(Some);
            }
        };
        let message = accept.message.clone();
        // Subscribed before the commit, so that no event of the task is missed.
        let mut events = self.hub.subscribe_ahead(key, Seq::START.next());
        let new = AcceptNew {
            key,
            agent: agent.name.clone(),
            context: context.clone(),
            options: durability::run_options(&options, &agent.limits, now),
            accept,
        };
        match self.commit_new(caller, new, admitted, !later).await? {
            Accepted::Created { at, seq } => {
                let task = new_task(key, agent.name.clone(), context, at, message);
                // The caller has the first message already.
                events.skip_to(seq);
                let message_seq = seq;
                Ok(Some(AcceptedSend { task, complete: true, events, message_seq, agent, waiter }))
            }
            Accepted::Duplicate { task, seq } => {
                self.attach_duplicate(caller, task, seq, !later).await.map(Some)
            }
            Accepted::KeyReused => Err(key_reused()),
            Accepted::TaskExists => Ok(None),
        }
    }

    /// Checks deadline and queues, and reserves a place for a new task.
    async fn admit(
        &self,
        agent: &AgentDescriptor,
        key: TaskKey,
        options: &DurabilityOptions,
    ) -> Result<QueuePermit> {
        durability::check_deadline(options, self.clock.now())?;
        self.admission.admit(agent, key.owner).await
    }

    /// Attaches a message that came before; a new one gets the refusal.
    async fn attach_or_refuse(
        &self,
        caller: &Caller,
        dedupe: DedupeKey,
        wake: bool,
        refusal: ProtocolError,
    ) -> Result<AcceptedSend> {
        let found = self.store.find_message(caller.principal.owner, dedupe).await;
        match found.map_err(|e| caller.failed(&e))? {
            MessageLookup::Duplicate { task, seq } => {
                self.attach_duplicate(caller, task, seq, wake).await
            }
            MessageLookup::KeyReused => Err(key_reused()),
            MessageLookup::Unknown => Err(refusal),
        }
    }

    /// Appends a message to a task.
    pub(super) async fn accept_follow_up(
        &self,
        caller: &Caller,
        mut request: SendRequest,
        target: &TaskRef,
    ) -> Result<AcceptedSend> {
        let known = self.snapshot(caller, target, SnapshotOptions::STATUS).await?;
        if request.message.context_id.as_ref().is_some_and(|context| *context != known.context) {
            return Err(ProtocolError::invalid(
                "message.contextId",
                "is not the context of this task; leave it out or use the task's own",
            ));
        }
        let agent = self.agent_named(caller, &known.agent).await?;
        extensions::agree(caller, &agent, &request.message)?;
        check_media_types(&agent, &request)?;
        self.name_follow_up(caller, &mut request, target, known.key).await?;
        let options = durability::read(&request.message)?;
        durability::check_follow_up(&options)?;
        let (mut user_message, modes) = user_message(request)?;
        // The same words sent to two tasks are two messages.
        user_message.message.task_id = Some(known.key.task);
        let accept = block_in_place_if_large(user_message.stored_len(), || {
            let dedupe = self.dedupe_key_for(&agent.name, &options, &user_message);
            let user_message = UserMessage { accepted_output_modes: modes, ..user_message };
            self.prepare(caller, user_message, dedupe, known.key, &known.context)
        })
        .await;
        let budget = self.options.task_budget;
        let follow_up = AcceptFollowUp { key: known.key, accept, budget };
        match self.commit_follow_up(caller, &agent.name, follow_up).await? {
            FollowedUp::Appended { seq, .. } => self.attach(caller, known.key.task, seq).await,
            FollowedUp::Duplicate { task, seq } => {
                self.attach_duplicate(caller, task, seq, true).await
            }
            FollowedUp::KeyReused => Err(key_reused()),
            FollowedUp::Ended(state) => Err(ProtocolError::UnsupportedOperation(format!(
                "the task is already {state} and takes no more messages; send without taskId to begin a new one"
            ))),
            FollowedUp::OverBudget => Err(self.over_budget()),
            FollowedUp::NotFound => Err(not_found(target)),
        }
    }

    /// Attaches to a task that had the message before, and wakes a worker: the node may have died
    /// between the commit and the wake-up.
    async fn attach_duplicate(
        &self,
        caller: &Caller,
        task: TaskId,
        message: Seq,
        wake: bool,
    ) -> Result<AcceptedSend> {
        let attached = self.attach(caller, task, message).await?;
        let state = attached.task.status.state;
        if wake && !state.is_terminal() && !state.is_parked() {
            // A spare wake-up costs a worker one claim.
            self.wake(&caller.trace, &attached.task.agent, attached.task.key);
        }
        Ok(attached)
    }

    /// Attaches to a task that has the message at this place. Its history is not read: that would
    /// make each message to a long task cost more than the one before.
    async fn attach(&self, caller: &Caller, task: TaskId, message: Seq) -> Result<AcceptedSend> {
        let key = TaskKey { owner: caller.principal.owner, task };
        // Subscribed before the read, so that nothing in between is missed.
        let mut events = self.hub.subscribe_ahead(key, message);
        let found = self.store.read_task(key, SnapshotOptions::STATUS).await;
        let task = found.map_err(|e| caller.failed(&e))?.ok_or_else(|| gone(task))?;
        let agent = self.agent_named(caller, &task.agent).await?;
        // The snapshot covers everything up to here.
        events.start_at(task.last_seq);
        Ok(AcceptedSend {
            task,
            complete: false,
            events,
            message_seq: message,
            agent,
            waiter: None,
        })
    }

    /// The deduplication key; unique when `attach_repeats` is off, so that no later message matches
    /// it.
    fn dedupe_key_for(
        &self,
        agent: &AgentName,
        options: &DurabilityOptions,
        user_message: &UserMessage,
    ) -> DedupeKey {
        if self.options.attach_repeats || options.idempotency_key.is_some() {
            durability::dedupe_key(agent, options, user_message)
        } else {
            DedupeKey::unique(self.ids.uuid_v7(), user_message)
        }
    }

    /// Fills in the task's ids and moves large contents to blobs.
    fn prepare(
        &self,
        caller: &Caller,
        mut message: UserMessage,
        dedupe: DedupeKey,
        key: TaskKey,
        context: &ContextId,
    ) -> IncomingMessage {
        message.message.task_id = Some(key.task);
        message.message.context_id = Some(context.clone());
        extensions::take_along(caller, &mut message.message);
        let blobs = offload_to_blobs(message.blob_slots());
        let trace = Some(caller.trace.child(&*self.ids).traceparent().to_owned());
        IncomingMessage { message, dedupe, blobs, trace }
    }
}

/// Checks the bounds of the message and splits off the media types that the client accepts: a
/// repeat counts as the same message whatever they are.
fn user_message(request: SendRequest) -> Result<(UserMessage, Vec<String>)> {
    let user_message =
        UserMessage { request_metadata: request.metadata, ..UserMessage::new(request.message) };
    bounds::check_user_message(&user_message)
        .map_err(|OutOfBounds { path, problem }| ProtocolError::invalid(path, problem))?;
    Ok((user_message, request.accepted_output_modes))
}

/// A task that has its first message and nothing else.
fn new_task(
    key: TaskKey,
    agent: AgentName,
    context: ContextId,
    at: Timestamp,
    message: UserMessage,
) -> Task {
    let mut task = Task::begin(key, agent, context, at);
    let body = EntryBody::Message(message);
    let first = LogEntry { seq: Seq::START.next(), at, attempt: 0, body };
    task.apply(first).expect("the first entry follows the beginning");
    task
}

impl Service {
    fn over_budget(&self) -> ProtocolError {
        let TaskBudget { messages, bytes } = self.options.task_budget;
        ProtocolError::UnsupportedOperation(format!(
            "the task has as many messages as one may have ({messages} after the first, {bytes} bytes together without large \
             contents); send without taskId to begin a new one, with the same contextId, and name this one in referenceTaskIds"
        ))
    }
}

fn key_reused() -> ProtocolError {
    ProtocolError::invalid(
        durability::path("idempotencyKey"),
        "the idempotency key was used with other content; use a new key for a new message",
    )
}

/// Most media types that a client may name for its answer.
const MAX_OUTPUT_MODES: usize = 100;

/// Longest media type, in bytes.
const MAX_OUTPUT_MODE_BYTES: usize = 256;

/// Bounds the media types, which are stored with the message (A2A 3.2.2). Their meaning is left to
/// the executor.
fn check_output_modes(modes: &[String]) -> Result<()> {
    let path = "configuration.acceptedOutputModes";
    if modes.len() > MAX_OUTPUT_MODES {
        let problem = format!("has more than {MAX_OUTPUT_MODES} media types; leave some out");
        return Err(ProtocolError::invalid(path, problem));
    }
    match modes.iter().position(|mode| mode.len() > MAX_OUTPUT_MODE_BYTES) {
        Some(place) => Err(ProtocolError::invalid(
            format!("{path}[{place}]"),
            format!("is longer than {MAX_OUTPUT_MODE_BYTES} bytes"),
        )),
        None => Ok(()),
    }
}

/// Refuses parts of a media type that no skill of the agent reads (A2A 3.3.2,
/// `ContentTypeNotSupportedError`). Parts without one are accepted.
fn check_media_types(agent: &AgentDescriptor, request: &SendRequest) -> Result<()> {
    for part in &request.message.parts {
        // Some clients write an empty media type where they know none.
        let stated = part.media_type.as_ref().filter(|media_type| !media_type.trim().is_empty());
        let Some(media_type) = stated else { continue };
        if !agent.accepts(media_type) {
            let of_skills = agent.skills.iter().flat_map(|skill| &skill.input_modes);
            let mut accepted: Vec<String> =
                agent.input_modes.iter().chain(of_skills).cloned().collect();
            accepted.sort();
            accepted.dedup();
            let media_type = media_type.clone();
            return Err(ProtocolError::ContentTypeNotSupported { media_type, accepted });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
