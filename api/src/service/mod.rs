//! The use cases, one a file. They know neither protocol version nor binding.

mod accept;
mod admission;
mod blobs;
mod caller;
mod cancel;
mod card;
mod client_task_ids;
mod commit;
mod depth_gauge;
mod direct_reply;
mod durability;
mod extensions;
mod frame;
mod history;
pub mod operate;
mod page_token;
mod read_tasks;
mod redrive_draft;
mod report;
mod response_budget;
mod response_size;
mod rules;
mod send;
mod stream;
mod subscribe;
mod wait_limiter;

pub use admission::{Admission, QueueLimits};
pub use caller::{AddressSource, Caller, CardAddress, store_error};
pub use card::{CardLookup, CardScope};
pub use frame::EventFrame;
pub use history::{LogRange, LogStart, MAX_PAGE_ENTRIES, TaskLog};
pub use redrive_draft::RedriveDraft;
pub use response_budget::{BudgetPermit, Budgeted, ResponseBudget};
pub use rules::{ArtifactKeys, ClientRules};
pub use stream::EventStream;

use crate::{agents::AgentDirectory, hub::Hub, options::ApiOptions};
use longhaul_dispatch::Waker;
use longhaul_domain::{AgentDescriptor, AgentName, SignalChannel, Task, TaskId, TaskKey};
use longhaul_runtime::{Clock, IdSource};
use longhaul_store::{SnapshotOptions, Store, StoreError};
use longhaul_wire::{ProtocolError, TaskRef};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Result of a use case.
pub type Result<T> = std::result::Result<T, ProtocolError>;

/// Dependencies of the use cases.
pub struct Service {
    pub store: Arc<dyn Store>,
    pub hub: Hub,
    pub waker: Arc<dyn Waker>,
    pub ids: Arc<dyn IdSource>,
    /// Signal channel of tasks created here, so that this node hears of its own tasks and few
    /// others.
    pub channel: SignalChannel,
    pub clock: Arc<dyn Clock>,
    pub agents: AgentDirectory,
    pub admission: Admission,
    pub response_budget: ResponseBudget,
    pub options: ApiOptions,
    /// True when callers must authenticate.
    pub authenticated: bool,
    /// Rung when schedules are changed here.
    pub schedules_changed: Notify,
    /// Cancelled when waiting requests should answer and streams should close.
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

    /// Finds an agent by name; the error names those that exist.
    async fn agent_named(&self, caller: &Caller, name: &AgentName) -> Result<Arc<AgentDescriptor>> {
        let found = self.agents.get(name).await.map_err(|e| caller.failed(&e))?;
        if let Some(agent) = found {
            return Ok(agent);
        }
        let all = self.agents.all().await.map_err(|e| caller.failed(&e))?;
        let known: Vec<&str> = all.keys().map(AgentName::as_str).collect();
        Err(ProtocolError::UnsupportedOperation(unknown_agent(name, &known)))
    }

    /// All agents, each with true if it is the default.
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

    /// The only registered agent, if there is exactly one.
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

    /// Key of a task that a caller names.
    fn key(caller: &Caller, task: &TaskRef) -> Result<TaskKey> {
        let owner = caller.principal.owner;
        let id = task.resolve(owner).ok_or_else(|| not_found(task))?;
        Ok(TaskKey { owner, task: id })
    }

    /// A snapshot of a task that the caller may see, large contents by reference.
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

    /// Converts the result of reading a task that a caller names.
    fn found(
        &self,
        caller: &Caller,
        task: &TaskRef,
        found: longhaul_store::Result<Option<Task>>,
    ) -> Result<Task> {
        let id = task.resolve(caller.principal.owner);
        let found = found.map_err(|e| match (e, id) {
            (StoreError::TooLarge { .. }, Some(id)) => {
                response_size::too_large(id, self.options.max_answer_bytes)
            }
            (e, _) => caller.failed(&e),
        })?;
        // A task of another agent is not found at this address.
        found
            .filter(|task| caller.agent.as_ref().is_none_or(|agent| *agent == task.agent))
            .ok_or_else(|| not_found(task))
    }
}

/// Error for a task that does not exist or is not the caller's.
fn not_found(task: &TaskRef) -> ProtocolError {
    ProtocolError::TaskNotFound { task: task.to_string() }
}

/// The same by task id.
fn gone(task: TaskId) -> ProtocolError {
    not_found(&TaskRef::Known(task))
}

/// Most agents that an error names.
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
mod run_options_tests;
#[cfg(test)]
mod tests;
