//! The standard streams of a plugin: frames in and out, and standard error to the log.

use super::{
    frames::{FrameKind, PluginFrame},
    lines::{BoundedLines, Line, truncated},
    logging::{LogAdmission, LogRateLimiter, MAX_TAIL_LINE_BYTES},
    plugin_state::PluginState,
};
use std::sync::Arc;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    process::{ChildStderr, ChildStdin, ChildStdout},
    sync::mpsc,
};

/// Maximum length of a line in an error message, bytes.
const MAX_SHOWN_BYTES: usize = 200;

/// Maximum length of a line in the log, bytes.
const MAX_LOGGED_LINE_BYTES: usize = 4096;

pub(super) type StdoutLines = BoundedLines<BufReader<ChildStdout>>;

/// Writes lines to the plugin until it has to end. Returning closes its input.
pub(super) async fn write_stdin(
    state: Arc<PluginState>,
    mut stdin: ChildStdin,
    mut queue: mpsc::Receiver<Vec<u8>>,
) {
    let lines = async {
        while let Some(line) = queue.recv().await {
            // The plugin has closed its input. Its end is noticed by the supervisor.
            if stdin.write_all(&line).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = lines => {}
        () = state.closing.cancelled() => {}
        () = state.dead.cancelled() => {}
    }
}

/// Delivers the plugin's frames to its runs, until it closes its output or violates the protocol.
pub(super) async fn read_stdout(state: Arc<PluginState>, mut stdout: StdoutLines) {
    loop {
        let line = match stdout.next().await {
            Line::End => return,
            Line::Complete(line) => line,
            Line::Unfinished(line) => {
                // The plugin may only have forgotten the line feed. If it died midway, its exit
                // status says so.
                let _ = deliver_line(&state, &line);
                return;
            }
            Line::TooLong(start) => {
                let start = truncated(&start, MAX_SHOWN_BYTES);
                let violation = format!("a line is too long\nit begins with {start:?}");
                return state.kill_for_violation(None, violation);
            }
        };
        if let Err((run, violation)) = deliver_line(&state, &line) {
            let line = truncated(&line, MAX_SHOWN_BYTES);
            return state.kill_for_violation(run, format!("{violation}\nin the line {line:?}"));
        }
    }
}

/// Delivers one line. The error holds the run that it names, and the violation.
fn deliver_line(state: &PluginState, line: &[u8]) -> Result<(), (Option<String>, String)> {
    let broken = |violation: String| (None, violation);
    let text = std::str::from_utf8(line).map_err(|_| broken("it is not UTF-8".to_owned()))?;
    let frame = PluginFrame::parse(text).map_err(|problem| broken(format!("it {problem}")))?;
    match frame.kind {
        FrameKind::Ready => Err(broken("it said `ready` twice".to_owned())),
        FrameKind::Log => {
            log_frame(state, &frame);
            Ok(())
        }
        _ => {
            let run = frame.run.clone();
            state.routes.deliver(frame).map_err(|violation| (run, violation))
        }
    }
}

/// Logs a `log` frame, within the rate limit.
pub(super) fn log_frame(state: &PluginState, frame: &PluginFrame) {
    let agent = &state.agent;
    match state.admit_log_line() {
        LogAdmission::Dropped => return,
        LogAdmission::Admitted { dropped_before: 0 } => {}
        LogAdmission::Admitted { dropped_before: dropped } => {
            tracing::warn!(%agent, dropped, "plugin log lines dropped");
        }
    }
    let text = truncated(frame.log_text().as_bytes(), MAX_LOGGED_LINE_BYTES);
    let task = frame.run.as_deref().and_then(|run| state.routes.run_task(run));
    let task = task.or_else(|| state.only_task()).map(tracing::field::display);
    match frame.level.as_deref() {
        Some("error") => tracing::error!(%agent, task, text, "plugin"),
        Some("warn" | "warning") => tracing::warn!(%agent, task, text, "plugin"),
        Some("debug" | "trace") => tracing::debug!(%agent, task, text, "plugin"),
        _ => tracing::info!(%agent, task, text, "plugin"),
    }
}

/// Logs standard error within a rate limit of its own, and keeps the last lines for error messages.
pub(super) async fn read_stderr(state: Arc<PluginState>, stderr: ChildStderr) {
    let mut lines = BoundedLines::new(BufReader::new(stderr), MAX_LOGGED_LINE_BYTES);
    let mut rate = LogRateLimiter::new();
    loop {
        let bytes = match lines.next().await {
            Line::Complete(bytes) | Line::TooLong(bytes) | Line::Unfinished(bytes) => bytes,
            Line::End => return,
        };
        let line = truncated(&bytes, MAX_LOGGED_LINE_BYTES);
        if line.trim().is_empty() {
            continue;
        }
        state.stderr_tail.push(truncated(line.as_bytes(), MAX_TAIL_LINE_BYTES));
        match rate.admit() {
            LogAdmission::Dropped => continue,
            LogAdmission::Admitted { dropped_before: 0 } => {}
            LogAdmission::Admitted { dropped_before: dropped } => {
                tracing::warn!(agent = %state.agent, dropped, "plugin standard error lines dropped");
            }
        }
        let task = state.only_task().map(tracing::field::display);
        tracing::info!(agent = %state.agent, task, line, "plugin");
    }
}
