//! Routes from a plugin's output to its runs.
//!
//! Delivery never waits: the queue of a run is bounded by its credit and its number of open
//! requests.

use super::frames::{FrameKind, PluginFrame};
use longhaul_domain::TaskId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use tokio::sync::{Notify, mpsc};

/// Maximum number of open requests of a run.
const MAX_OPEN_REQUESTS: u32 = 8;

/// The frames for one run, in order. Ends when the plugin is dead.
pub(super) type RunEvents = mpsc::UnboundedReceiver<PluginFrame>;

/// The route to one run, with its credit and open requests.
#[derive(Debug)]
pub(super) struct RunRoute {
    task: TaskId,
    credit: AtomicU32,
    requests: AtomicU32,
    /// Set when only the end of the run is delivered. Other frames are dropped and cost nothing.
    end_only: AtomicBool,
    ended: AtomicBool,
    /// Signals `progress` frames. They are not queued, because nothing bounds their number.
    progress: Notify,
}

impl RunRoute {
    /// Grants credit. Call this before telling the plugin.
    pub fn grant(&self, credit: u32) {
        self.credit.fetch_add(credit, Ordering::AcqRel);
    }

    /// Notes that a request has been answered. Call this before sending the reply.
    pub fn answered(&self) {
        self.requests.fetch_sub(1, Ordering::AcqRel);
    }

    /// Waits for a `progress` frame. Cancel safe.
    pub async fn progress(&self) {
        self.progress.notified().await;
    }

    /// Drops all further frames except the end of the run.
    pub fn only_end(&self) {
        self.end_only.store(true, Ordering::Release);
    }

    /// Decides whether a frame is delivered. The error is a violation of the protocol.
    fn admit(&self, kind: FrameKind) -> Result<bool, String> {
        if self.ended.load(Ordering::Acquire) {
            return Err("the run has ended".to_owned());
        }
        let take = |count: &AtomicU32| {
            // Never below zero: the plugin must not borrow credit.
            count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok()
        };
        if kind.is_end() {
            // Set by the reader, so that a frame right after the end is refused even before the run has seen it.
            self.ended.store(true, Ordering::Release);
        } else if self.end_only.load(Ordering::Acquire) {
            return Ok(false);
        } else if kind.is_output() && !take(&self.credit) {
            return Err("output without credit; wait for `credit`".to_owned());
        } else if kind == FrameKind::Request
            && self.requests.fetch_add(1, Ordering::AcqRel) >= MAX_OPEN_REQUESTS
        {
            return Err(format!("more than {MAX_OPEN_REQUESTS} open requests"));
        } else if kind == FrameKind::Progress {
            self.progress.notify_one();
            return Ok(false);
        }
        Ok(true)
    }
}

/// The routes to all runs in one plugin.
#[derive(Default)]
pub(super) struct RunRoutes(Mutex<RoutesState>);

#[derive(Default)]
struct RoutesState {
    open: HashMap<String, (Arc<RunRoute>, mpsc::UnboundedSender<PluginFrame>)>,
    /// Number of routes that were ever opened.
    opened: u64,
    shut_down: bool,
}

impl RunRoutes {
    pub fn open(&self, run: &str, task: TaskId, credit: u32) -> (Arc<RunRoute>, RunEvents) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let route = Arc::new(RunRoute {
            task,
            credit: AtomicU32::new(credit),
            requests: AtomicU32::new(0),
            end_only: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            progress: Notify::new(),
        });
        let mut state = self.lock();
        state.opened += 1;
        if !state.shut_down {
            state.open.insert(run.to_owned(), (route.clone(), sender));
        }
        (route, receiver)
    }

    pub fn close(&self, run: &str) {
        self.lock().open.remove(run);
    }

    /// Ends the events of all runs, current and future.
    pub fn shut_down(&self) {
        let mut state = self.lock();
        state.shut_down = true;
        state.open.clear();
    }

    /// Delivers a frame to its run. The error is a violation of the protocol.
    pub fn deliver(&self, frame: PluginFrame) -> Result<(), String> {
        let Some(run) = &frame.run else { return Err("it names no `run`".to_owned()) };
        let state = self.lock();
        let Some((route, sender)) = state.open.get(run) else {
            return Err(format!("run {run:?} does not exist, or has ended"));
        };
        if route.admit(frame.kind)? {
            // A dropped receiver means that the run is about to be closed.
            let _ = sender.send(frame);
        }
        Ok(())
    }

    pub fn run_task(&self, run: &str) -> Option<TaskId> {
        self.lock().open.get(run).map(|(route, _)| route.task)
    }

    pub fn only_task(&self) -> Option<TaskId> {
        let state = self.lock();
        let mut open = state.open.values();
        open.next().filter(|_| open.len() == 0).map(|(route, _)| route.task)
    }

    /// The run that has not ended, if it is the only one.
    pub fn only_run(&self) -> Option<String> {
        let state = self.lock();
        let going =
            |(_, (route, _)): &(&String, &(Arc<RunRoute>, _))| !route.ended.load(Ordering::Acquire);
        let mut open = state.open.iter().filter(going);
        let (run, _) = open.next()?;
        open.next().is_none().then(|| run.clone())
    }

    /// The run that caused a violation which names this run. When the named run is not open, the
    /// open one is to blame only if the plugin has had no other.
    pub fn culprit_for(&self, named: String) -> Option<String> {
        let state = self.lock();
        if state.open.contains_key(&named) {
            return Some(named);
        }
        state.open.keys().next().filter(|_| state.opened == 1).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, RoutesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
