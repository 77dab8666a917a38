//! Sessions by which the death of a worker is noticed.
//!
//! A process with workers keeps one connection of its own, outside of the pools, on which it holds an advisory lock for each of
//! them. The server lets go of the locks when the process dies, and whoever reaps sees that. When only the connection broke, it
//! is made again and the locks are taken again at once; until that has worked, the workers say through the pools that they
//! live. A store without workers opens no such connection.

mod keeper;

pub use keeper::{BACKEND, END_BACKEND, HOLD, LET_GO, LET_GO_ALL, SEEN};

use crate::{
    failure::{DbResult, Failure},
    server::Servers,
};
use longhaul_domain::WorkerId;
use longhaul_runtime::TaskSet;
use sqlx_postgres::PgPool;
use std::{collections::BTreeSet, sync::OnceLock, time::Duration};
use tokio::{sync::watch, time::timeout};

/// How long the first session of a worker may take.
const FIRST: Duration = Duration::from_secs(10);

/// How long a worker that leaves waits until its session is given up.
const LEAVING: Duration = Duration::from_secs(1);

/// Workers whose locks are wanted, or held.
type Workers = BTreeSet<WorkerId>;

/// The number of a worker's lock. Workers are version 7 UUIDs with more random bits than such a number has.
pub fn key_of(worker: WorkerId) -> i64 {
    let id = worker.uuid().as_u128();
    let [high, low] = [id >> 64, id & u128::from(u64::MAX)];
    i64::from_ne_bytes(u64::try_from(high ^ low).unwrap_or_default().to_ne_bytes())
}

/// The sessions of this process's workers.
pub struct Sessions {
    servers: Servers,
    wanted: watch::Sender<Workers>,
    held: watch::Sender<Workers>,
    started: OnceLock<()>,
}

impl Sessions {
    /// None yet.
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            wanted: watch::Sender::default(),
            held: watch::Sender::default(),
            started: OnceLock::new(),
        }
    }

    /// Holds the lock of a worker from now on. Fails when that has not worked within 10 seconds.
    pub async fn hold(
        &self,
        worker: WorkerId,
        background: &TaskSet,
        pool: &PgPool,
    ) -> DbResult<()> {
        self.started.get_or_init(|| {
            let (wanted, held) = (self.wanted.subscribe(), self.held.clone());
            let stop = background.stopping().clone();
            let keeping = keeper::keep(self.servers.clone(), pool.clone(), wanted, held, stop);
            background.spawn("postgres worker sessions", keeping);
        });
        self.wanted.send_modify(|wanted| {
            wanted.insert(worker);
        });
        let mut held = self.held.subscribe();
        if let Ok(Ok(_)) = timeout(FIRST, held.wait_for(|held| held.contains(&worker))).await {
            return Ok(());
        }
        self.forget(worker);
        Err(Failure::Unavailable("no session for the worker came about".to_owned()))
    }

    /// Lets go of the lock of a worker.
    pub async fn release(&self, worker: WorkerId) {
        if self.forget(worker) {
            let mut held = self.held.subscribe();
            let _ = timeout(LEAVING, held.wait_for(|held| !held.contains(&worker))).await;
        }
    }

    fn forget(&self, worker: WorkerId) -> bool {
        self.wanted.send_if_modified(|wanted| wanted.remove(&worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::{IdSource, SystemIds};

    #[test]
    fn workers_have_locks_of_their_own() {
        let keys: BTreeSet<i64> =
            (0..1_000).map(|_| key_of(WorkerId::new(SystemIds.uuid_v7()))).collect();
        assert_eq!(keys.len(), 1_000);
    }
}
