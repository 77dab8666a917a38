//! A running plugin: its streams, its runs, and its end.
//!
//! Four background tasks serve a plugin. One reads standard output and delivers frames to the runs,
//! and never waits for a run: credit bounds what can queue up. One writes standard input, so that a
//! plugin that does not read delays no other task. One reads standard error. One supervises the
//! process until nothing of it is left.

use super::{
    child::ProcessGroup,
    config::ProcessConfig,
    frames::{PluginFrame, WorkerFrame},
    plugin_state::{PluginState, RunFate},
    routes::{RunEvents, RunRoute},
    streams::{self, StdoutLines},
    supervisor::{PluginProcess, supervise},
};
use longhaul_domain::TaskId;
use std::sync::Arc;
use tokio::{
    process::{Child, ChildStdin},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Maximum number of lines that wait to be written to a plugin.
const MAX_QUEUED_LINES: usize = 32;

/// Default of `inlineParts` in the protocol, bytes.
const DEFAULT_INLINE_PART_BYTES: u64 = 8 * 1024 * 1024;

/// A handle to a running plugin. Dropping the last one closes its input, and the plugin ends.
pub(super) struct Plugin {
    state: Arc<PluginState>,
    lines: mpsc::Sender<Vec<u8>>,
    /// Maximum size of a message part that is sent inline.
    pub inline_part_bytes: u64,
    /// Slots for concurrent runs.
    pub slots: Arc<tokio::sync::Semaphore>,
}

/// The parts of a plugin that is ready.
pub(super) struct StartedPlugin {
    pub child: Child,
    pub group: ProcessGroup,
    pub stdin: ChildStdin,
    pub stdout: StdoutLines,
    pub ready: PluginFrame,
}

impl Plugin {
    /// Starts the background tasks of a plugin that is ready.
    pub fn start(
        state: Arc<PluginState>,
        started: StartedPlugin,
        config: &ProcessConfig,
        stderr_reader: JoinHandle<()>,
    ) -> Arc<Self> {
        let StartedPlugin { child, group, stdin, stdout, ready } = started;
        let offered = if config.keep { config.max_inflight.max(1) } else { 1 };
        // A plugin that does not say how many runs it takes gets one at a time.
        let slots = ready.max_inflight.unwrap_or(1).clamp(1, offered);
        let (lines, queue) = mpsc::channel(MAX_QUEUED_LINES);
        longhaul_runtime::spawn("plugin input", streams::write_stdin(state.clone(), stdin, queue));
        let stdout_reader =
            longhaul_runtime::spawn("plugin output", streams::read_stdout(state.clone(), stdout));
        let process = PluginProcess { child, group, grace: config.kill_grace };
        let supervisor = supervise(state.clone(), process, stdout_reader, stderr_reader);
        longhaul_runtime::spawn("plugin", supervisor);
        Arc::new(Self {
            state,
            lines,
            inline_part_bytes: ready.inline_parts.unwrap_or(DEFAULT_INLINE_PART_BYTES),
            slots: Arc::new(tokio::sync::Semaphore::new(usize::try_from(slots).unwrap_or(1))),
        })
    }

    /// Opens a route for the frames of a run. The route ends when the plugin is dead.
    pub fn open_run(&self, run: &str, task: TaskId, credit: u32) -> (Arc<RunRoute>, RunEvents) {
        self.state.routes.open(run, task, credit)
    }

    /// Closes the route of a run that has ended. Further frames for it violate the protocol.
    pub fn close_run(&self, run: &str) {
        self.state.routes.close(run);
    }

    /// Sends a frame to the plugin, and waits while the plugin does not read. Frames for a dead
    /// plugin are lost.
    pub async fn send(&self, frame: &WorkerFrame<'_>) {
        let line = frame.line();
        tokio::select! {
            _ = self.lines.send(line) => {}
            () = self.state.dead.cancelled() => {}
        }
    }

    /// Returns true while the plugin accepts runs.
    pub fn is_alive(&self) -> bool {
        // A plugin on its way out must not get another run, even before the process has ended.
        let ended = [&self.state.closing, &self.state.terminating, &self.state.killing];
        !self.state.dead.is_cancelled() && !ended.into_iter().any(CancellationToken::is_cancelled)
    }

    /// Closes the plugin's input so that it ends by itself, and ends it by force after the grace
    /// period.
    pub fn close(&self) {
        self.state.closing.cancel();
    }

    /// Ends the plugin because this run does not end.
    pub fn terminate(&self, run: &str) {
        self.state.terminate(run);
    }

    /// Kills the plugin for a violation of the protocol in this run.
    pub fn kill_for_violation(&self, run: &str, violation: String) {
        self.state.kill_for_violation(Some(run.to_owned()), violation);
    }

    /// Waits until nothing of the plugin is left.
    pub async fn wait_dead(&self) {
        self.state.dead.cancelled().await;
    }

    /// The consequence of the plugin's end for a run.
    pub fn run_fate(&self, run: &str) -> RunFate {
        self.state.run_fate(run)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.close();
    }
}

/// Starts the background task that reads standard error.
pub(super) fn spawn_stderr_reader(state: &Arc<PluginState>, child: &mut Child) -> JoinHandle<()> {
    let stderr = child.stderr.take();
    let state = state.clone();
    longhaul_runtime::spawn("plugin errors", async move {
        if let Some(stderr) = stderr {
            streams::read_stderr(state, stderr).await;
        }
    })
}
