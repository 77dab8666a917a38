//! The use cases, one a file. None of them knows which protocol version or binding asked.

mod accept;
mod admission;
mod again;
mod blobs;
mod cancel;
mod card;
mod chosen;
mod direct;
mod durability;
mod extensions;
mod failure;
mod fit;
mod flight;
mod frame;
mod get;
mod history;
mod list;
pub mod operate;
mod page_token;
mod report;
mod room;
mod rules;
mod send;
mod signing;
mod stream;
mod subscribe;

pub use admission::{Admission, Bounds};
pub use again::Draft;
pub use card::{AddressSource, CardAddress, CardFound, CardScope, Shape};
pub use failure::failed;
pub use frame::Frame;
pub use history::{LogRange, LogStart, MAX_PAGE_ENTRIES, TaskLog};
pub use room::{Answer, Answers, Held};
pub use rules::Rules;
pub use stream::EventStream;

use crate::{agents::Agents, hub::Hub, options::ApiOptions};
use longhaul_dispatch::Waker;
use longhaul_domain::{
    AgentDescriptor, AgentName, Principal, SignalChannel, Task, TaskId, TaskKey,
};
use longhaul_runtime::{Clock, IdSource, TraceContext};
use longhaul_store::{SnapshotOptions, Store, StoreError};
use longhaul_wire::{Extensions, ProtocolError, TaskRef};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Answer to a use case.
pub type Result<T> = std::result::Result<T, ProtocolError>;

/// Who asks, and for whom.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who they showed to be.
    pub principal: Principal,
    /// The agent that the address or the tenant names; none: the one at the root.
    pub agent: Option<AgentName>,
    /// Under which causes are logged.
    pub request_id: String,
    /// The trace of the request.
    pub trace: TraceContext,
    /// Which extensions the request has activated.
    pub extensions: Extensions,
    /// What its version of the protocol expects.
    pub rules: Rules,
    /// The address that a card for it names, where it asks for one.
    pub card_address: Option<CardAddress>,
}

/// What the use cases need.
pub struct Service {
    pub store: Arc<dyn Store>,
    pub hub: Hub,
    pub waker: Arc<dyn Waker>,
    pub ids: Arc<dyn IdSource>,
    /// Channel of the tasks that are made here, so that this node hears of its own tasks and few others.
    pub channel: SignalChannel,
    pub clock: Arc<dyn Clock>,
    pub agents: Agents,
    pub admission: Admission,
    pub answers: Answers,
    pub options: ApiOptions,
    /// Whether callers must show who they are.
    pub authenticated: bool,
    /// Rung when schedules were changed here.
    pub schedules_changed: Notify,
    /// Cancelled when waiting requests shall answer and streams shall close.
    pub draining: CancellationToken,
}

impl Service {
    /// The agent that a call is for.
    async fn agent(&self, caller: &Caller) -> Result<Arc<AgentDescriptor>> {
        let name = match caller.agent.as_ref().or(self.options.default_agent.as_ref()) {
            Some(name) => name.clone(),
            None => self.only_agent(caller).await?,
        };
        self.agent_named(caller, &name).await
    }

    /// An agent by name, or an error that names those that there are.
    async fn agent_named(&self, caller: &Caller, name: &AgentName) -> Result<Arc<AgentDescriptor>> {
        let found = self.agents.get(name).await.map_err(|e| caller.failed(&e))?;
        if let Some(agent) = found {
            return Ok(agent);
        }
        let all = self.agents.all().await.map_err(|e| caller.failed(&e))?;
        let known: Vec<&str> = all.keys().map(AgentName::as_str).collect();
        Err(ProtocolError::UnsupportedOperation(unknown_agent(name, &known)))
    }

    /// Every agent, with whether it answers where none is named.
    pub async fn agents(&self, caller: &Caller) -> Result<Vec<(Arc<AgentDescriptor>, bool)>> {
        let all = self.agents.all().await.map_err(|e| caller.failed(&e))?;
        let only = all.len() == 1;
        let default = self.options.default_agent.as_ref();
        let of = |agent: &Arc<AgentDescriptor>| {
            let is_default = default.map_or(only, |name| *name == agent.name);
            (Arc::clone(agent), is_default)
        };
        Ok(all.values().map(of).collect())
    }

    /// The only agent there is.
    async fn only_agent(&self, caller: &Caller) -> Result<AgentName> {
        let all = self.agents.all().await.map_err(|e| caller.failed(&e))?;
        let mut names = all.keys();
        match (names.next(), names.next()) {
            (Some(only), None) => Ok(only.clone()),
            (None, _) => Err(ProtocolError::UnsupportedOperation(
                "no agent is registered yet; start a worker that runs one".to_owned(),
            )),
            (Some(_), Some(_)) => {
                let names: Vec<&str> = all.keys().map(AgentName::as_str).collect();
                Err(ProtocolError::UnsupportedOperation(format!(
                    "there are several agents; address one at /agents/<name> or by tenant: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// The key of a task that a caller names.
    fn key(caller: &Caller, task: &TaskRef) -> Result<TaskKey> {
        let owner = caller.principal.owner;
        let id = task.of(owner).ok_or_else(|| not_found(task))?;
        Ok(TaskKey { owner, task: id })
    }

    /// A snapshot of a task that the caller may see, with large contents still apart.
    async fn snapshot(
        &self,
        caller: &Caller,
        task: &TaskRef,
        options: SnapshotOptions,
    ) -> Result<Task> {
        let key = Self::key(caller, task)?;
        let found = self.store.read_task(key, options).await;
        self.found(caller, task, found)
    }

    /// What was read of a task that a caller names.
    fn found(
        &self,
        caller: &Caller,
        task: &TaskRef,
        found: longhaul_store::Result<Option<Task>>,
    ) -> Result<Task> {
        let id = task.of(caller.principal.owner);
        let found = found.map_err(|e| match (e, id) {
            (StoreError::TooLarge { .. }, Some(id)) => {
                fit::too_large(id, self.options.max_answer_bytes)
            }
            (e, _) => caller.failed(&e),
        })?;
        // A task of another agent is not at this address.
        found
            .filter(|task| caller.agent.as_ref().is_none_or(|agent| *agent == task.agent))
            .ok_or_else(|| not_found(task))
    }
}

/// No such task, or not the caller's.
fn not_found(task: &TaskRef) -> ProtocolError {
    ProtocolError::TaskNotFound { task: task.to_string() }
}

/// No such task, or not the caller's.
fn gone(task: TaskId) -> ProtocolError {
    not_found(&TaskRef::Known(task))
}

/// Most names of agents in an error.
const MAX_NAMED_AGENTS: usize = 20;

fn unknown_agent(name: &AgentName, known: &[&str]) -> String {
    let more = if known.len() > MAX_NAMED_AGENTS { ", …" } else { "" };
    let shown = known[..known.len().min(MAX_NAMED_AGENTS)].join(", ");
    let there_are = match known.len() {
        0 => "none is registered yet".to_owned(),
        1 => format!("there is {shown}"),
        _ => format!("there are {shown}{more}"),
    };
    format!(
        "there is no agent named {name}; {there_are}. Check the address, or start a worker that runs it"
    )
}

#[cfg(test)]
mod running_tests;
#[cfg(test)]
mod tests;
