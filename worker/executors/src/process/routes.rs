//! Which run of a plugin something is said about. The reader never waits here: what a run may pile up is bounded by its credit and
//! by how many requests it may have open.

use super::frames::{Kind, Said};
use longhaul_domain::TaskId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use tokio::sync::{Notify, mpsc};

/// Most requests that a run may have open.
const MAX_REQUESTS: u32 = 8;

/// What is said about one run, in order. Ends when the plugin is dead.
pub(super) type RunEvents = mpsc::UnboundedReceiver<Said>;

/// The accounts of one run.
#[derive(Debug)]
pub(super) struct Route {
    task: TaskId,
    credit: AtomicU32,
    requests: AtomicU32,
    /// Output is dropped and costs nothing.
    deaf: AtomicBool,
    ended: AtomicBool,
    /// Rung when the plugin says that it is getting on; not queued, as nothing bounds how often it does.
    progress: Notify,
}

impl Route {
    /// Grants credit; before the plugin is told.
    pub fn grant(&self, credit: u32) {
        self.credit.fetch_add(credit, Ordering::AcqRel);
    }

    /// A request has been answered; before the plugin is told.
    pub fn answered(&self) {
        self.requests.fetch_sub(1, Ordering::AcqRel);
    }

    /// Waits until the plugin says that it is getting on. Safe to abandon.
    pub async fn progress(&self) {
        self.progress.notified().await;
    }

    /// From now on only the end of the run is of interest.
    pub fn deafen(&self) {
        self.deaf.store(true, Ordering::Release);
    }

    /// Whether something may be handed on; an error when it may not be said.
    fn admit(&self, kind: Kind) -> Result<bool, String> {
        if self.ended.load(Ordering::Acquire) {
            return Err("the run has ended".to_owned());
        }
        let take = |count: &AtomicU32| {
            count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
        };
        if kind.is_end() {
            self.ended.store(true, Ordering::Release);
        } else if self.deaf.load(Ordering::Acquire) {
            return Ok(false);
        } else if kind.is_output() && !take(&self.credit) {
            return Err("output without credit; wait for `credit`".to_owned());
        } else if kind == Kind::Request
            && self.requests.fetch_add(1, Ordering::AcqRel) >= MAX_REQUESTS
        {
            return Err(format!("more than {MAX_REQUESTS} open requests"));
        } else if kind == Kind::Progress {
            self.progress.notify_one();
            return Ok(false);
        }
        Ok(true)
    }
}

/// All runs in one plugin.
#[derive(Default)]
pub(super) struct Routes(Mutex<State>);

#[derive(Default)]
struct State {
    open: HashMap<String, (Arc<Route>, mpsc::UnboundedSender<Said>)>,
    /// How many there have ever been.
    opened: u64,
    shut: bool,
}

impl Routes {
    pub fn open(&self, run: &str, task: TaskId, credit: u32) -> (Arc<Route>, RunEvents) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let route = Arc::new(Route {
            task,
            credit: AtomicU32::new(credit),
            requests: AtomicU32::new(0),
            deaf: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            progress: Notify::new(),
        });
        let mut state = self.lock();
        state.opened += 1;
        if !state.shut {
            state.open.insert(run.to_owned(), (route.clone(), sender));
        }
        (route, receiver)
    }

    pub fn close(&self, run: &str) {
        self.lock().open.remove(run);
    }

    /// Ends the events of every run, now and later.
    pub fn shut(&self) {
        let mut state = self.lock();
        state.shut = true;
        state.open.clear();
    }

    /// Hands on what is said about a run. The error says why it may not be said.
    pub fn deliver(&self, said: Said) -> Result<(), String> {
        let Some(run) = &said.run else { return Err("it names no `run`".to_owned()) };
        let state = self.lock();
        let Some((route, sender)) = state.open.get(run) else {
            return Err(format!("run {run:?} does not exist, or has ended"));
        };
        if route.admit(said.kind)? {
            // A receiver that is gone has lost interest; its run is about to be closed.
            let _ = sender.send(said);
        }
        Ok(())
    }

    pub fn task_of(&self, run: &str) -> Option<TaskId> {
        self.lock().open.get(run).map(|(route, _)| route.task)
    }

    pub fn only_task(&self) -> Option<TaskId> {
        let state = self.lock();
        let mut open = state.open.values();
        open.next().filter(|_| open.len() == 0).map(|(route, _)| route.task)
    }

    /// The only run that has not ended.
    pub fn only_run(&self) -> Option<String> {
        let state = self.lock();
        let going =
            |(_, (route, _)): &(&String, &(Arc<Route>, _))| !route.ended.load(Ordering::Acquire);
        let mut open = state.open.iter().filter(going);
        let (run, _) = open.next()?;
        open.next().is_none().then(|| run.clone())
    }

    /// Which run is to blame for what was said about this one. It may be over, or never have been; then it is the open one only
    /// if the plugin has had no other.
    pub fn blame(&self, named: String) -> Option<String> {
        let state = self.lock();
        if state.open.contains_key(&named) {
            return Some(named);
        }
        state.open.keys().next().filter(|_| state.opened == 1).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
