//! A running plugin: its streams, the runs in it, and its end.
//!
//! Four tasks serve it: one reads standard output and hands what it says to the runs, never waiting for any of them (credit bounds what
//! can pile up); one writes standard input, so that a plugin that does not read holds up nobody's reading; one reads standard
//! error; one waits for its end and sees to it that nothing of it is left.

use super::{
    child::Group,
    config::ProcessConfig,
    frames::{Said, ToPlugin},
    life::{Life, supervise},
    routes::{Route, RunEvents},
    shared::{RunFate, Shared},
    stderr,
    streams::{self, StdoutLines},
};
use longhaul_domain::TaskId;
use std::sync::Arc;
use tokio::{
    process::{Child, ChildStdin},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Lines that may wait to be written to a plugin.
const QUEUE: usize = 32;

/// A handle to a running plugin. When the last one goes, its input is closed and it ends.
pub(super) struct Plugin {
    shared: Arc<Shared>,
    lines: mpsc::Sender<Vec<u8>>,
    /// Parts of a client's message up to this many bytes come inline.
    pub inline_parts: u64,
    /// Room for so many runs at a time.
    pub slots: Arc<tokio::sync::Semaphore>,
}

/// What a plugin consists of once it has said that it is ready.
pub(super) struct Started {
    pub child: Child,
    pub group: Group,
    pub stdin: ChildStdin,
    pub stdout: StdoutLines,
    pub ready: Said,
}

impl Plugin {
    /// Takes up a plugin that has said that it is ready.
    pub fn run(
        shared: Arc<Shared>,
        started: Started,
        config: &ProcessConfig,
        stderr: JoinHandle<()>,
    ) -> Arc<Self> {
        let Started { child, group, stdin, stdout, ready } = started;
        let offered = if config.keep { config.max_inflight.max(1) } else { 1 };
        let slots = ready.max_inflight.unwrap_or(1).clamp(1, offered);
        let (lines, queue) = mpsc::channel(QUEUE);
        longhaul_runtime::spawn("plugin input", streams::write(shared.clone(), stdin, queue));
        let reader =
            longhaul_runtime::spawn("plugin output", streams::read(shared.clone(), stdout));
        let life = Life { child, group, grace: config.kill_grace };
        longhaul_runtime::spawn("plugin", supervise(shared.clone(), life, reader, stderr));
        Arc::new(Self {
            shared,
            lines,
            inline_parts: ready.inline_parts.unwrap_or(DEFAULT_INLINE),
            slots: Arc::new(tokio::sync::Semaphore::new(usize::try_from(slots).unwrap_or(1))),
        })
    }

    /// Opens the way for what is said about a run. Closed when the plugin is dead.
    pub fn open(&self, run: &str, task: TaskId, credit: u32) -> (Arc<Route>, RunEvents) {
        self.shared.routes.open(run, task, credit)
    }

    /// The run has ended: nothing may be said about it any more.
    pub fn close_run(&self, run: &str) {
        self.shared.routes.close(run);
    }

    /// Says something to the plugin; waits while it does not read. What is said to a dead one is lost.
    pub async fn say(&self, frame: &ToPlugin<'_>) {
        let line = frame.line();
        tokio::select! {
            _ = self.lines.send(line) => {}
            () = self.shared.dead.cancelled() => {}
        }
    }

    /// Whether it takes runs.
    pub fn is_alive(&self) -> bool {
        let ended = [&self.shared.closing, &self.shared.terminating, &self.shared.killing];
        !self.shared.dead.is_cancelled() && !ended.into_iter().any(CancellationToken::is_cancelled)
    }

    /// Lets it end by itself, and ends it if it does not.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    /// Ends it because this run does not end.
    pub fn terminate(&self, run: &str) {
        self.shared.terminate(run);
    }

    /// See [`Shared::violate`].
    pub fn violate(&self, run: &str, what: String) {
        self.shared.violate(Some(run.to_owned()), what);
    }

    /// Waits until nothing of it is left.
    pub async fn gone(&self) {
        self.shared.dead.cancelled().await;
    }

    /// See [`Shared::fate_of`].
    pub fn fate_of(&self, run: &str) -> RunFate {
        self.shared.fate_of(run)
    }
}

/// See `inlineParts` in the protocol.
const DEFAULT_INLINE: u64 = 8 * 1024 * 1024;

impl Drop for Plugin {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts the task that reads standard error.
pub(super) fn watch_stderr(shared: &Arc<Shared>, child: &mut Child) -> JoinHandle<()> {
    let stderr = child.stderr.take();
    let shared = shared.clone();
    longhaul_runtime::spawn("plugin errors", async move {
        if let Some(stderr) = stderr {
            stderr::forward(shared, stderr).await;
        }
    })
}
