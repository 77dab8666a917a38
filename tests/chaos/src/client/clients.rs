//! The clients of a run.

use super::{Api, Notes, Talk};
use crate::{campaign::Options, random::Random};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// The clients, each with one task after the other.
#[derive(Clone)]
pub struct Clients {
    enough: Arc<AtomicBool>,
    notes: Arc<Mutex<Vec<Arc<Mutex<Notes>>>>>,
    running: Arc<Mutex<JoinSet<()>>>,
}

impl Clients {
    /// Starts them.
    pub fn new(api: &Api, options: &Options) -> Self {
        let clients = Self {
            enough: Arc::default(),
            notes: Arc::default(),
            running: Arc::new(Mutex::new(JoinSet::new())),
        };
        let begun = Arc::new(AtomicU64::new(0));
        for number in 0..options.clients {
            let (api, clients, begun) = (api.clone(), clients.clone(), Arc::clone(&begun));
            let (seed, tasks) = (options.rules.seed, options.tasks);
            let running = Arc::clone(&clients.running);
            lock(&running).spawn(async move {
                for turn in 0.. {
                    let enough = clients.enough.load(Ordering::Relaxed);
                    if enough || begun.fetch_add(1, Ordering::Relaxed) >= tasks {
                        return;
                    }
                    let random = Random::stream(seed, (number + 1) << 32 | turn);
                    let talk = Talk::new(api.clone(), format!("{seed}-{number}-{turn}"), random);
                    lock(&clients.notes).push(talk.notes());
                    talk.run().await;
                }
            });
        }
        clients
    }

    /// Lets no client begin another task.
    pub fn enough(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    /// Lets every client see its task through, for as long as there is time, and gives what all have noted.
    pub async fn finish(self, over: Instant) -> Vec<Notes> {
        let mut running = std::mem::take(&mut *lock(&self.running));
        while let Ok(Some(client)) = timeout_at(over, running.join_next()).await {
            if let Err(error) = client {
                // A bug of the suite, which must not pass for a promise that was kept.
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
