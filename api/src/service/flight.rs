//! The durable step of a send: commit, then wake.
//!
//! It runs apart from the request: a client that goes away in the middle prevents neither.

use super::{Caller, Result, Service, admission::Admitted};
use longhaul_dispatch::Wake;
use longhaul_domain::{AgentName, TaskKey};
use longhaul_runtime::{TraceContext, spawn};
use longhaul_store::{AcceptFollowUp, AcceptNew, Accepted, FollowedUp, Store};
use longhaul_wire::ProtocolError;
use std::sync::Arc;

impl Service {
    /// Makes a new task durable and wakes a worker for it, unless it is not to be run yet.
    pub(super) async fn commit_new(
        &self,
        caller: &Caller,
        new: AcceptNew,
        admitted: Admitted,
        due: bool,
    ) -> Result<Accepted> {
        let wake = self.wake_for(&caller.trace, &new.agent, new.key);
        self.apart(caller, move |store| async move {
            let accepted = store.accept_new(new).await;
            if matches!(accepted, Ok(Accepted::Created { .. })) {
                admitted.accepted();
                if due {
                    wake();
                }
            }
            accepted
        })
        .await
    }

    /// Makes a follow-up durable and wakes a worker where its task was parked.
    pub(super) async fn commit_follow_up(
        &self,
        caller: &Caller,
        agent: &AgentName,
        said: AcceptFollowUp,
    ) -> Result<FollowedUp> {
        let wake = self.wake_for(&caller.trace, agent, said.key);
        self.apart(caller, move |store| async move {
            let followed = store.accept_follow_up(said).await;
            if matches!(followed, Ok(FollowedUp::Appended { woken: true, .. })) {
                wake();
            }
            followed
        })
        .await
    }

    /// Wakes a worker for a task.
    pub fn wake(&self, trace: &TraceContext, agent: &AgentName, task: TaskKey) {
        self.wake_for(trace, agent, task)();
    }

    fn wake_for(
        &self,
        trace: &TraceContext,
        agent: &AgentName,
        task: TaskKey,
    ) -> impl FnOnce() + Send + use<> {
        let wake = Wake { agent: agent.clone(), task, trace: Some(trace.clone()) };
        let waker = Arc::clone(&self.waker);
        move || waker.wake(wake)
    }

    async fn apart<T, F>(
        &self,
        caller: &Caller,
        step: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = longhaul_store::Result<T>> + Send + 'static,
    {
        let done = spawn("accept", step(Arc::clone(&self.store))).await;
        // A panic is logged where it happens.
        let done =
            done.map_err(|_| ProtocolError::Internal { request_id: caller.request_id.clone() })?;
        done.map_err(|error| caller.failed(&error))
    }
}
