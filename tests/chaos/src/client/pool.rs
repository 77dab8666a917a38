//! The pool of clients that make the load.

use super::{
    api_nodes::ApiNodes,
    task_client::{ClientNotes, TaskClient},
};
use crate::{options::CampaignOptions, random::Random};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// A pool of clients, each with one task after the other; clones share it.
#[derive(Clone)]
pub struct ClientPool {
    stopped: Arc<AtomicBool>,
    notes: Arc<Mutex<Vec<Arc<Mutex<ClientNotes>>>>>,
    running: Arc<Mutex<JoinSet<()>>>,
}

impl ClientPool {
    /// Starts the clients.
    pub fn new(api: &ApiNodes, options: &CampaignOptions) -> Self {
        let clients = Self {
            stopped: Arc::default(),
            notes: Arc::default(),
            running: Arc::new(Mutex::new(JoinSet::new())),
        };
        let started = Arc::new(AtomicU64::new(0));
        for number in 0..options.clients {
            let (api, clients, started) = (api.clone(), clients.clone(), Arc::clone(&started));
            let (seed, tasks) = (options.plan.seed, options.tasks);
            let running = Arc::clone(&clients.running);
            lock(&running).spawn(async move {
                for turn in 0.. {
                    let stopped = clients.stopped.load(Ordering::Relaxed);
                    if stopped || started.fetch_add(1, Ordering::Relaxed) >= tasks {
                        return;
                    }
                    let random = Random::stream(seed, (number + 1) << 32 | turn);
                    let client =
                        TaskClient::new(api.clone(), format!("{seed}-{number}-{turn}"), random);
                    lock(&clients.notes).push(client.notes());
                    client.run().await;
                }
            });
        }
        clients
    }

    /// Lets no client start another task.
    pub fn stop_starting(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits until every client has finished its task, or until the deadline; returns the notes of
    /// all.
    pub async fn finish(self, deadline: Instant) -> Vec<ClientNotes> {
        let mut running = std::mem::take(&mut *lock(&self.running));
        while let Ok(Some(client)) = timeout_at(deadline, running.join_next()).await {
            if let Err(error) = client {
                // A bug of the suite must not look like a kept promise.
                std::panic::resume_unwind(error.into_panic());
            }
        }
        running.shutdown().await;
        let notes = std::mem::take(&mut *lock(&self.notes));
        notes.iter().map(|notes| lock(notes).clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
