//! Durable commits: a new task or follow-up is committed, then a worker is woken.
//!
//! Both happen even if the client disconnects in between: the commit then continues in a task of
//! its own.

use super::{Caller, Result, Service, admission::QueuePermit};
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
    /// Commits a new task and wakes a worker for it, unless it is not due yet.
    pub(super) async fn commit_new(
        &self,
        caller: &Caller,
        new: AcceptNew,
        admitted: QueuePermit,
        due: bool,
    ) -> Result<Accepted> {
        let wake = self.wake_for(&caller.trace, &new.agent, new.key);
        self.run_detached(caller, move |store| async move {
            let accepted = store.accept_new(new).await;
            // Only after the commit: a worker that is woken must find the task.
            if matches!(accepted, Ok(Accepted::Created { .. })) {
                admitted.consume();
                if due {
                    wake();
                }
            }
            accepted
        })
        .await
    }

    /// Commits a follow-up and wakes a worker if its task was parked.
    pub(super) async fn commit_follow_up(
        &self,
        caller: &Caller,
        agent: &AgentName,
        follow_up: AcceptFollowUp,
    ) -> Result<FollowedUp> {
        let wake = self.wake_for(&caller.trace, agent, follow_up.key);
        self.run_detached(caller, move |store| async move {
            let followed = store.accept_follow_up(follow_up).await;
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

    async fn run_detached<T, F>(
        &self,
        caller: &Caller,
        step: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = longhaul_store::Result<T>> + Send + 'static,
    {
        // A client that disconnects here drops the future, which then goes on detached.
        let done = DetachOnDrop::new(step(Arc::clone(&self.store))).await;
        done.map_err(|error| caller.failed(&error))
    }
}

/// A future that is spawned when it is dropped before it has finished.
struct DetachOnDrop<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F> DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F> Future for DetachOnDrop<F>
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

impl<F> Drop for DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // A future that panicked cannot continue, and without a runtime the process is ending.
        if let Some(work) = self.0.take()
            && !std::thread::panicking()
            && Handle::try_current().is_ok()
        {
            spawn("accept", work);
        }
    }
}
