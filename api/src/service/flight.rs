//! The durable step of a send: commit, then wake.
//!
//! It is part of the request while somebody waits for it, and goes on by itself when the client goes away in the middle,
//! which so prevents neither.

use super::{Caller, Result, Service, admission::Admitted};
use longhaul_dispatch::WakeHint;
use longhaul_domain::{AgentName, TaskKey};
use longhaul_runtime::{TraceContext, spawn};
use longhaul_store::{AcceptFollowUp, AcceptNew, Accepted, FollowedUp, Store};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::runtime::Handle;

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
        let wake = WakeHint { agent: agent.clone(), task, trace: Some(trace.clone()) };
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
        let done = GoesOn::new(step(Arc::clone(&self.store))).await;
        done.map_err(|error| caller.failed(&error))
    }
}

/// Work that is finished by a task of its own when nobody waits for it any more.
struct GoesOn<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F> GoesOn<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F> Future for GoesOn<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<F> Drop for GoesOn<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // What panicked cannot go on, and without a runtime the process is at its end.
        if let Some(work) = self.0.take()
            && !std::thread::panicking()
            && Handle::try_current().is_ok()
        {
            spawn("accept", work);
        }
    }
}
