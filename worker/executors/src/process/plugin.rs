//! A running plugin: its streams, the runs in it, and its end.
//!
//! Four tasks serve it: one reads standard output and hands what it says to the runs, never waiting for any of them (credit bounds what
//! can pile up); one writes standard input, so that a plugin that does not read holds up nobody's reading; one reads standard
//! error; one waits for its end and sees to it that nothing of it is left.

use super::{
    child::Group,
    config::ProcessConfig,
    frames::{Said, ToPlugin},
    lines::{Line, Lines, shown},
    routes::{Route, Routes, RunEvents},
    stderr::{self, Tail},
};
use longhaul_domain::{AgentName, TaskId};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How much of a line an error message shows, bytes.
const SHOWN: usize = 200;
/// Lines that may wait to be written to a plugin.
const QUEUE: usize = 32;
/// How long the streams of a dead plugin may still be drained; only a process that left its group can hold them longer.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) type StdoutLines = Lines<BufReader<ChildStdout>>;

/// What the tasks of a plugin share.
pub(super) struct Shared {
    pub agent: AgentName,
    pub tail: Tail,
    command: String,
    routes: Routes,
    violation: OnceLock<Violation>,
    death: OnceLock<Death>,
    /// Its input ends, and it may tidy up.
    closing: CancellationToken,
    /// It gets SIGTERM, and SIGKILL after the grace.
    terminating: CancellationToken,
    /// It gets SIGKILL.
    killing: CancellationToken,
    dead: CancellationToken,
}

/// What a plugin did that the protocol forbids.
struct Violation {
    what: String,
    /// The run that did it, where one can be told.
    run: Option<String>,
}

/// How a plugin ended.
struct Death {
    status: String,
}

/// A handle to a running plugin. When the last one goes, its input is closed and it ends.
pub(super) struct Plugin {
    shared: Arc<Shared>,
    lines: mpsc::Sender<String>,
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

impl Shared {
    pub fn new(agent: AgentName, config: &ProcessConfig) -> Self {
        Self {
            agent,
            tail: Tail::default(),
            command: config.shown(),
            routes: Routes::default(),
            violation: OnceLock::new(),
            death: OnceLock::new(),
            closing: CancellationToken::new(),
            terminating: CancellationToken::new(),
            killing: CancellationToken::new(),
            dead: CancellationToken::new(),
        }
    }

    /// The task of the only run in the plugin.
    pub fn only_task(&self) -> Option<TaskId> {
        self.routes.only_task()
    }

    /// The plugin broke the protocol: it is killed. The first violation is the one that is told.
    fn violate(&self, run: Option<String>, what: String) {
        let run = run.or_else(|| self.routes.only_run());
        tracing::error!(agent = %self.agent, command = self.command, what, "a plugin broke the protocol");
        let _ = self.violation.set(Violation { what, run });
        self.killing.cancel();
    }
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
        longhaul_runtime::spawn("plugin input", write(shared.clone(), stdin, queue));
        let reader = longhaul_runtime::spawn("plugin output", read(shared.clone(), stdout));
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

    /// Ends it.
    pub fn terminate(&self) {
        self.shared.terminating.cancel();
    }

    /// See [`Shared::violate`].
    pub fn violate(&self, run: &str, what: String) {
        self.shared.violate(Some(run.to_owned()), what);
    }

    /// Waits until nothing of it is left.
    pub async fn gone(&self) {
        self.shared.dead.cancelled().await;
    }

    /// What its end means for a run that was in it: why it failed, and whether another attempt is worth while. What breaks the
    /// protocol would do so again; the other runs in that process are innocent.
    pub fn cause_of_death(&self, run: &str) -> (String, bool) {
        let shared = &self.shared;
        let name = &shared.command;
        let tail = shared.tail.sentence();
        if let Some(violation) = shared.violation.get() {
            let mine = violation.run.as_deref() == Some(run);
            return (
                format!("the plugin `{name}` broke the protocol: {}{tail}", violation.what),
                !mine,
            );
        }
        let status = shared.death.get().map_or("it is gone", |death| death.status.as_str());
        (format!("the plugin `{name}` ended without ending its run: {status}{tail}"), true)
    }
}

/// See `inlineParts` in the protocol.
const DEFAULT_INLINE: u64 = 8 * 1024 * 1024;

impl Drop for Plugin {
    fn drop(&mut self) {
        self.close();
    }
}

/// Writes lines until the plugin shall end; then its input ends.
async fn write(shared: Arc<Shared>, mut stdin: ChildStdin, mut queue: mpsc::Receiver<String>) {
    let lines = async {
        while let Some(line) = queue.recv().await {
            if stdin.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = lines => {}
        () = shared.closing.cancelled() => {}
        () = shared.dead.cancelled() => {}
    }
}

/// Hands on what the plugin says, until it closes its output or says something that it must not.
async fn read(shared: Arc<Shared>, mut stdout: StdoutLines) {
    loop {
        let line = match stdout.next().await {
            Line::End => return,
            Line::Whole(line) => line,
            Line::Unfinished(line) => {
                // Perhaps it only forgot the line feed. If it died in the middle, its end says so.
                let _ = hand_on(&shared, &line);
                return;
            }
            Line::TooLong(start) => {
                let what = format!("a line is too long, it begins with {:?}", shown(&start, SHOWN));
                return shared.violate(None, what);
            }
        };
        if let Err((run, what)) = hand_on(&shared, &line) {
            return shared.violate(run, format!("{what}, in the line {:?}", shown(&line, SHOWN)));
        }
    }
}

fn hand_on(shared: &Shared, line: &[u8]) -> Result<(), (Option<String>, String)> {
    let broken = |what: String| (None, what);
    let text = std::str::from_utf8(line).map_err(|_| broken("it is not UTF-8".to_owned()))?;
    let said = Said::read(text).map_err(|what| broken(format!("it {what}")))?;
    match said.kind {
        super::frames::Kind::Ready => Err(broken("it said `ready` twice".to_owned())),
        super::frames::Kind::Log => {
            log(shared, &said);
            Ok(())
        }
        _ => {
            let run = said.run.clone();
            shared.routes.deliver(said).map_err(|what| (run, what))
        }
    }
}

/// Logs what a plugin wants logged.
pub(super) fn log(shared: &Shared, said: &Said) {
    let text = shown(said.log_text().as_bytes(), 4096);
    let agent = &shared.agent;
    let task = said.run.as_deref().and_then(|run| shared.routes.task_of(run));
    let task = task.or_else(|| shared.only_task()).map(tracing::field::display);
    match said.level.as_deref() {
        Some("error") => tracing::error!(%agent, task, text, "plugin"),
        Some("warn" | "warning") => tracing::warn!(%agent, task, text, "plugin"),
        Some("debug" | "trace") => tracing::debug!(%agent, task, text, "plugin"),
        _ => tracing::info!(%agent, task, text, "plugin"),
    }
}

/// The process itself.
struct Life {
    child: Child,
    group: Group,
    grace: Duration,
}

/// Waits for the end, or brings it about; then tells the runs.
async fn supervise(
    shared: Arc<Shared>,
    mut life: Life,
    mut reader: JoinHandle<()>,
    stderr: JoinHandle<()>,
) {
    let read_to_end = tokio::select! {
        () = life.end(&shared) => false,
        _ = &mut reader => {
            // Nothing can be heard from it any more.
            let patience = timeout(life.grace, life.end(&shared));
            if patience.await.is_err() {
                shared.terminating.cancel();
                life.end(&shared).await;
            }
            true
        }
    };
    let status = life.child.wait().await;
    // Its children die with it. What it has said before stands, and is in the pipe still.
    life.group.kill();
    if !read_to_end {
        let _ = timeout(DRAIN, reader).await;
    }
    let _ = timeout(DRAIN, stderr).await;
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let _ = shared.death.set(Death { status });
    shared.dead.cancel();
    shared.routes.shut();
}

impl Life {
    /// Until the process has ended, by itself or as it was told. Safe to abandon and call again.
    async fn end(&mut self, shared: &Shared) {
        tokio::select! {
            biased;
            _ = self.child.wait() => return,
            () = shared.killing.cancelled() => {}
            () = shared.terminating.cancelled() => {
                self.group.terminate();
                if timeout(self.grace, self.child.wait()).await.is_ok() {
                    return;
                }
            }
            () = shared.closing.cancelled() => {
                tokio::select! {
                    _ = self.child.wait() => return,
                    () = shared.killing.cancelled() => {}
                    () = async {
                        tokio::select! {
                            () = tokio::time::sleep(self.grace) => {}
                            () = shared.terminating.cancelled() => {}
                        }
                        self.group.terminate();
                        tokio::time::sleep(self.grace).await;
                    } => {}
                }
            }
        }
        // Not Group::kill: the leader has not been reaped, and its children are killed again once it is.
        self.group.signal_kill();
        let _ = self.child.wait().await;
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
