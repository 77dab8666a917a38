//! The claim loop: finds work for free slots.
//!
//! A wake-up makes it look into the store, and so do a slot that is freed while there was a backlog and, from time to time,
//! the clock: a lost wake-up costs latency, never a task. A saturated worker leaves wake-ups to others and goes back to them
//! when the store has nothing more for it.

use crate::{
    run::{Agent, RunEnv, run},
    slots::Slots,
};
use longhaul_dispatch::{Delivery, WakeSource};
use longhaul_domain::{AgentName, WorkerId};
use longhaul_runtime::{Backoff, TaskSet, readiness::Handle};
use longhaul_store::ClaimRequest;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Everything that the loop needs.
pub struct Claims {
    pub env: Arc<RunEnv>,
    pub agents: BTreeMap<AgentName, Arc<Agent>>,
    pub slots: Slots,
    pub runs: TaskSet,
    pub worker: WorkerId,
    pub probe_interval: Duration,
    pub readiness: Handle,
}

/// What a look into the store brought.
enum Look {
    /// Less than there was room for: there is nothing more.
    Nothing,
    /// As much as there was room for: there may be more.
    More,
    /// The store did not answer.
    Failed,
}

impl Claims {
    /// Claims until the worker drains.
    pub async fn run(self, mut source: Box<dyn WakeSource>, draining: CancellationToken) {
        let mut wakes: Vec<Delivery> = Vec::new();
        let mut failures = 0;
        loop {
            let look = self.look().await;
            // What the wake-ups were for is claimed, or was claimed by others.
            for wake in wakes.drain(..) {
                wake.ack();
            }
            let saturated = self.slots.free().0.is_empty();
            failures = if matches!(look, Look::Failed) { failures + 1 } else { 0 };
            let wait = match look {
                Look::More if !saturated => continue,
                Look::More | Look::Nothing if saturated => {
                    source.pause().await;
                    tokio::select! {
                        () = self.slots.freed() => {}
                        () = draining.cancelled() => return,
                    }
                    continue;
                }
                Look::More | Look::Nothing => {
                    source.resume().await;
                    self.probe_pause()
                }
                Look::Failed => Backoff::RECONNECT.random_delay(failures),
            };
            tokio::select! {
                biased;
                () = draining.cancelled() => return,
                wake = source.next() => match wake {
                    Some(wake) => {
                        wakes.push(wake);
                        self.gather(&mut *source, &mut wakes);
                    }
                    // Closed: only the clock is left.
                    None => tokio::time::sleep(wait).await,
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes further wake-ups that are here already, as many as there are slots.
    fn gather(&self, source: &mut dyn WakeSource, wakes: &mut Vec<Delivery>) {
        let room = self.slots.free().1 as usize;
        while wakes.len() < room {
            match futures::future::FutureExt::now_or_never(source.next()) {
                Some(Some(wake)) => wakes.push(wake),
                Some(None) | None => return,
            }
        }
    }

    /// Claims what there is room for and starts it.
    async fn look(&self) -> Look {
        let (slots, limit) = self.slots.free();
        if slots.is_empty() {
            return Look::More;
        }
        let request = ClaimRequest { worker: self.worker, slots, limit };
        match self.env.store.claim(request).await {
            Ok(claimed) => {
                self.readiness.set_ok();
                let more = claimed.len() >= limit as usize;
                for claimed in claimed {
                    let Some(agent) = self.agents.get(&claimed.agent) else {
                        tracing::error!(agent = %claimed.agent, "claimed a run that was not asked for");
                        continue;
                    };
                    let slot = self.slots.take(&claimed.agent);
                    let (env, agent) = (Arc::clone(&self.env), Arc::clone(agent));
                    self.runs.spawn("run", run(env, agent, claimed, slot));
                }
                if more { Look::More } else { Look::Nothing }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot claim");
                self.readiness.set_failed("the store does not answer");
                Look::Failed
            }
        }
    }

    /// When to look again without being woken: around the interval, so that many workers do not look at once.
    fn probe_pause(&self) -> Duration {
        let max = self.probe_interval;
        let jitter = Backoff { initial: max, factor: 1.0, max, jitter: true };
        max / 2 + jitter.random_delay(0) / 2
    }
}
