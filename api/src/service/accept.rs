//! Taking a message in: the common beginning of Send Message and Send Streaming Message (A2A 3.1.1, 3.1.2).
//!
//! Whoever waits is subscribed before the message is committed, so no wake-up is missed. When the node dies after the
//! commit, the client sends the same message again and is attached to the same task, for which a worker is then woken. That
//! holds also when the queue has filled up or the message's deadline has passed meanwhile: what was accepted once is never
//! turned away for that. Where too many clients wait nothing is looked up: whoever comes again finds the task then.

use super::{
    Caller, Result, Service,
    admission::{Admitted, Waiter},
    durability, extensions, gone, not_found,
};
use crate::{apart::apart, hub::Subscription};
use longhaul_domain::{
    AgentDescriptor, AgentName, ContextId, DurabilityOptions, EntryBody, LogEntry, Seq, Task,
    TaskId, TaskKey, Timestamp,
    blob::offload_to_blobs,
    bounds::{self, OutOfBounds},
    log::UserMessage,
};
use longhaul_store::{
    AcceptFollowUp, AcceptNew, Accepted, DedupeKey, FollowedUp, IncomingMessage, SnapshotOptions,
    TaskBudget,
};
use longhaul_wire::{ProtocolError, SendRequest, TaskRef};
use std::sync::Arc;

/// A message that was taken in.
pub struct InFlight {
    /// The task, as it is with the message; large contents are apart. Of a task that was there before, only the status.
    pub task: Task,
    /// Whether the task has its messages and artifacts.
    pub whole: bool,
    /// What follows.
    pub events: Subscription,
    /// Place of the message.
    pub message: Seq,
    /// The agent that does it.
    pub agent: Arc<AgentDescriptor>,
    /// Where somebody waits for a task that has not begun.
    pub waiter: Option<Waiter>,
}

impl InFlight {
    /// Notes that something has come of the message.
    pub fn begun(&mut self) {
        self.waiter.take().into_iter().for_each(Waiter::begun);
    }
}

impl Service {
    /// Validates a message and makes it durable, for somebody who waits for what comes of it or not.
    pub(super) async fn accept(
        &self,
        caller: &Caller,
        mut request: SendRequest,
        waits: bool,
    ) -> Result<InFlight> {
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
                self.accept_new(caller, request, key, waits).await
            }
        }
    }

    /// Makes a task of this key.
    pub(super) async fn accept_new(
        &self,
        caller: &Caller,
        request: SendRequest,
        key: TaskKey,
        waits: bool,
    ) -> Result<InFlight> {
        let agent = self.agent(caller).await?;
        extensions::agree(caller, &agent, &request.message)?;
        check_media_types(&agent, &request)?;
        let options = durability::read(&request.message)?;
        durability::check_times(&options)?;
        let now = self.clock.now();
        let later = options.not_before.is_some_and(|at| at > now);
        let joins = waits && !later;
        let waiter =
            joins.then(|| self.admission.join(&agent.name, caller.principal.owner)).transpose()?;
        let context = request
            .message
            .context_id
            .clone()
            .unwrap_or_else(|| ContextId::from(self.ids.uuid_v7()));
        let (said, modes) = said(request)?;
        // The key is that of the message as it was sent: the ids are ours, and new at every try.
        let accept = apart(said.stored_len(), || {
            let dedupe = self.recognised_by(&agent.name, &options, &said);
            let said = UserMessage { accepted_output_modes: modes, ..said };
            self.prepare(caller, said, dedupe, key, &context)
        })
        .await;
        let admitted = match self.admit(&agent, key, &options).await {
            Ok(admitted) => admitted,
            Err(refusal) => return self.known(caller, key, accept, !later, refusal).await,
        };
        let message = accept.message.clone();
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
                let task = begun(key, agent.name.clone(), context, at, message);
                events.skip_to(seq);
                Ok(InFlight { task, whole: true, events, message: seq, agent, waiter })
            }
            Accepted::Duplicate { task, seq } => self.attach_again(caller, task, seq, !later).await,
            Accepted::KeyReused => Err(key_reused()),
        }
    }

    /// Whether a new task may be made now.
    async fn admit(
        &self,
        agent: &AgentDescriptor,
        key: TaskKey,
        options: &DurabilityOptions,
    ) -> Result<Admitted> {
        durability::check_deadline(options, self.clock.now())?;
        self.admission.admit(agent, key.owner).await
    }

    /// Answers a message that would be refused if it were new: one that came before goes on with its task. Asked by sending it
    /// to a task that does not exist, which finds where it went and writes nothing.
    async fn known(
        &self,
        caller: &Caller,
        nowhere: TaskKey,
        accept: IncomingMessage,
        wake: bool,
        refusal: ProtocolError,
    ) -> Result<InFlight> {
        let accept = IncomingMessage { blobs: Vec::new(), ..accept };
        let budget = self.options.task_budget;
        let asked = AcceptFollowUp { key: nowhere, accept, budget };
        let asked = self.store.accept_follow_up(asked).await;
        match asked.map_err(|e| caller.failed(&e))? {
            FollowedUp::Duplicate { task, seq } => self.attach_again(caller, task, seq, wake).await,
            FollowedUp::KeyReused => Err(key_reused()),
            FollowedUp::NotFound
            | FollowedUp::Ended(_)
            | FollowedUp::OverBudget
            | FollowedUp::Appended { .. } => Err(refusal),
        }
    }

    /// Goes on with a task.
    pub(super) async fn accept_follow_up(
        &self,
        caller: &Caller,
        mut request: SendRequest,
        target: &TaskRef,
    ) -> Result<InFlight> {
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
        let (mut said, modes) = said(request)?;
        // The same words to two tasks are two messages.
        said.message.task_id = Some(known.key.task);
        let accept = apart(said.stored_len(), || {
            let dedupe = self.recognised_by(&agent.name, &options, &said);
            let said = UserMessage { accepted_output_modes: modes, ..said };
            self.prepare(caller, said, dedupe, known.key, &known.context)
        })
        .await;
        let budget = self.options.task_budget;
        let said = AcceptFollowUp { key: known.key, accept, budget };
        match self.commit_follow_up(caller, &agent.name, said).await? {
            FollowedUp::Appended { seq, .. } => self.attach(caller, known.key.task, seq).await,
            FollowedUp::Duplicate { task, seq } => self.attach_again(caller, task, seq, true).await,
            FollowedUp::KeyReused => Err(key_reused()),
            FollowedUp::Ended(state) => Err(ProtocolError::UnsupportedOperation(format!(
                "the task is already {state} and takes no more messages; send without taskId to begin a new one"
            ))),
            FollowedUp::OverBudget => Err(self.over_budget()),
            FollowedUp::NotFound => Err(not_found(target)),
        }
    }

    /// Goes on with a task that had the message before. Whether its worker was woken then, nobody knows: the node may have
    /// died between the commit and the wake-up.
    async fn attach_again(
        &self,
        caller: &Caller,
        task: TaskId,
        message: Seq,
        wake: bool,
    ) -> Result<InFlight> {
        let flight = self.attach(caller, task, message).await?;
        let state = flight.task.status.state;
        if wake && !state.is_terminal() && !state.is_parked() {
            self.wake(&caller.trace, &flight.task.agent, flight.task.key);
        }
        Ok(flight)
    }

    /// Goes on with a task that has the message already, at the place given. What was said and made before is not read: that
    /// would make each message to a long task dearer than the one before it.
    async fn attach(&self, caller: &Caller, task: TaskId, message: Seq) -> Result<InFlight> {
        let key = TaskKey { owner: caller.principal.owner, task };
        let mut events = self.hub.subscribe_ahead(key, message);
        let found = self.store.read_task(key, SnapshotOptions::STATUS).await;
        let task = found.map_err(|e| caller.failed(&e))?.ok_or_else(|| gone(task))?;
        let agent = self.agent_named(caller, &task.agent).await?;
        events.start_at(task.last_seq);
        Ok(InFlight { task, whole: false, events, message, agent, waiter: None })
    }

    /// By what this message is recognised when it comes again: where repeats are new messages, by nothing that another could have.
    fn recognised_by(
        &self,
        agent: &AgentName,
        options: &DurabilityOptions,
        said: &UserMessage,
    ) -> DedupeKey {
        if self.options.attach_repeats || options.idempotency_key.is_some() {
            durability::dedupe_key(agent, options, said)
        } else {
            DedupeKey::unique(self.ids.uuid_v7(), said)
        }
    }

    /// Fills in what is known of the task and takes large contents out.
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

/// What the client says, within bounds, and apart from it the media types that it can take: a repeated message is recognised whatever those
/// are, as what answers it is there already.
fn said(request: SendRequest) -> Result<(UserMessage, Vec<String>)> {
    let said =
        UserMessage { request_metadata: request.metadata, ..UserMessage::new(request.message) };
    bounds::check_user_message(&said)
        .map_err(|OutOfBounds { place, problem }| ProtocolError::invalid(place, problem))?;
    Ok((said, request.accepted_output_modes))
}

/// A task that has its first message and nothing else.
fn begun(
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

/// The most media types that a client may name for its answer.
const MAX_OUTPUT_MODES: usize = 100;

/// The most bytes of such a media type.
const MAX_OUTPUT_MODE_LEN: usize = 256;

/// Refuses more than anybody needs of what is kept with the message (A2A 3.2.2). Which types they are is not looked at: what
/// does not fit them is for the executor to tell.
fn check_output_modes(modes: &[String]) -> Result<()> {
    let path = "configuration.acceptedOutputModes";
    if modes.len() > MAX_OUTPUT_MODES {
        let problem = format!("has more than {MAX_OUTPUT_MODES} media types; leave some out");
        return Err(ProtocolError::invalid(path, problem));
    }
    match modes.iter().position(|mode| mode.len() > MAX_OUTPUT_MODE_LEN) {
        Some(place) => Err(ProtocolError::invalid(
            format!("{path}[{place}]"),
            format!("is longer than {MAX_OUTPUT_MODE_LEN} bytes"),
        )),
        None => Ok(()),
    }
}

/// Refuses parts of a media type that no skill of the agent reads (A2A 3.3.2, `ContentTypeNotSupportedError`). Parts without one
/// are always taken.
fn check_media_types(agent: &AgentDescriptor, request: &SendRequest) -> Result<()> {
    for part in &request.message.parts {
        // Some clients write an empty one where they know none.
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
