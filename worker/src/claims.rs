//! The claim loop: finds work for free slots.
//!
//! A wake-up makes it look into the store, and so do a slot that is freed while there was a backlog and, from time to time,
//! the clock: a lost wake-up costs latency, never a task. A saturated worker leaves wake-ups to others and goes back to them
//! when the store has nothing more for it.

use crate::{
    run::{Agent, RunEnv, run},
    slots::{Room, Slots},
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
    /// Less than there was room for: there is nothing more for the agents that still have room.
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
        while !draining.is_cancelled() {
            let look = self.look().await;
            if matches!(look, Look::Failed) {
                // Others may reach the store; and hints must not be burnt while it is away.
                wakes.clear();
                source.pause().await;
                let wait = Backoff::RECONNECT.random_delay(failures);
                draining.run_until_cancelled(tokio::time::sleep(wait)).await;
                failures = failures.saturating_add(1);
                continue;
            }
            failures = 0;
            // What the wake-ups were for is claimed, was claimed by others, or is looked for when a slot is freed.
            for wake in wakes.drain(..) {
                wake.ack();
            }
            match (self.slots.room(), look) {
                (Room::None, _) => {
                    source.pause().await;
                    draining.run_until_cancelled(self.slots.freed()).await;
                }
                (Room::Some | Room::All, Look::More) => {}
                (room, _) => {
                    source.resume().await;
                    let wake = self.idle(&mut *source, room);
                    if let Some(Some(wake)) = draining.run_until_cancelled(wake).await {
                        wakes.push(wake);
                        self.gather(&mut *source, &mut wakes);
                    }
                }
            }
        }
    }

    /// Waits for a reason to look again: a wake-up, a slot of an agent that had none, or the clock.
    async fn idle(&self, source: &mut dyn WakeSource, room: Room) -> Option<Delivery> {
        let wait = self.probe_pause();
        let next = async {
            match source.next().await {
                Some(wake) => wake,
                // Closed: only the clock is left.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            wake = next => Some(wake),
            () = self.slots.freed(), if room == Room::Some => None,
            () = tokio::time::sleep(wait) => None,
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
