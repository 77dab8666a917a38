//! The start of a plugin: from a program to a plugin that is ready.
//!
//! A program that does not become ready is killed, and the error holds the last lines of its
//! standard error.

use super::{
    child,
    config::ProcessConfig,
    frames::{FrameKind, PROTOCOL_FEATURES, PROTOCOL_VERSION, PluginFrame, WorkerFrame},
    lines::{BoundedLines, Line, truncated},
    plugin::{Plugin, StartedPlugin, spawn_stderr_reader},
    plugin_state::PluginState,
    streams::{StdoutLines, log_frame},
};
use longhaul_domain::AgentName;
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, io::BufReader, process::ChildStdin, time::timeout};

/// Time limit for a failed program to exit, and for reading the rest of its standard error.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A failed handshake.
struct HandshakeError {
    problem: String,
    /// Set when the program has closed its output, and so is about to exit.
    exiting: bool,
}

impl From<String> for HandshakeError {
    fn from(problem: String) -> Self {
        Self { problem, exiting: false }
    }
}

/// A program that did not become a plugin.
#[derive(Debug, thiserror::Error)]
#[error("the plugin `{command}` of agent {agent} {problem}")]
pub struct PluginStartError {
    command: String,
    agent: AgentName,
    problem: String,
}

/// Starts the program and shakes hands with it.
pub(super) async fn start(
    agent: &AgentName,
    config: &ProcessConfig,
) -> Result<Arc<Plugin>, PluginStartError> {
    let failed = |problem: String| PluginStartError {
        command: config.shown_command(),
        agent: agent.clone(),
        problem,
    };
    let (mut child, mut group) = child::spawn(config).map_err(|error| {
        failed(format!(
            "cannot be started: {}; check command and working_dir of [agent.process]",
            spawn_failure(&error, config)
        ))
    })?;
    let state = Arc::new(PluginState::new(agent.clone(), config));
    let stderr = spawn_stderr_reader(&state, &mut child);
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("has no pipes".to_owned()));
    };
    let mut stdout = BoundedLines::new(BufReader::new(stdout), config.max_line_bytes);
    let handshake =
        timeout(config.start_timeout, shake_hands(&state, config, &mut stdin, &mut stdout));
    let error = match handshake.await {
        Ok(Ok(ready)) => {
            tracing::debug!(%agent, name = ready.name, version = ready.version, "plugin ready");
            let started = StartedPlugin { child, group, stdin, stdout, ready };
            return Ok(Plugin::start(state, started, config, stderr));
        }
        Ok(Err(error)) => error,
        Err(_) => not_ready(config.start_timeout).into(),
    };
    // A program that is about to exit gets time to report its status. Any other is killed at once.
    let exit_timeout = if error.exiting { EXIT_TIMEOUT } else { Duration::ZERO };
    let exited = timeout(exit_timeout, child.wait()).await;
    // With its children, whether or not the program has exited.
    group.kill();
    // Reads the rest of standard error, which usually holds the reason.
    let _ = timeout(EXIT_TIMEOUT, stderr).await;
    let status = match exited {
        Ok(Ok(status)) => format!(" ({status})"),
        _ => String::new(),
    };
    Err(failed(format!("{}{status}{}", error.problem, state.stderr_tail.clause())))
}

/// The reason why a program cannot be started, in plainer words than the system's.
fn spawn_failure(error: &std::io::Error, config: &ProcessConfig) -> String {
    match (error.kind(), config.find_program()) {
        (_, Err(problem)) => problem.to_string(),
        (std::io::ErrorKind::NotFound, Ok(program)) => {
            format!(
                "the interpreter that the first line of {} names does not exist",
                program.display()
            )
        }
        (_, Ok(_)) => error.to_string(),
    }
}

fn not_ready(limit: Duration) -> String {
    format!(
        "did not say that it is ready within {limit:?}: it must answer `hello` with one line \
         {{\"type\":\"ready\",\"protocol\":{PROTOCOL_VERSION}}} and flush it; raise start_timeout if it needs longer"
    )
}

/// Sends `hello` and waits for `ready`.
async fn shake_hands(
    state: &PluginState,
    config: &ProcessConfig,
    stdin: &mut ChildStdin,
    stdout: &mut StdoutLines,
) -> Result<PluginFrame, HandshakeError> {
    let hello = WorkerFrame::Hello {
        protocol: PROTOCOL_VERSION,
        worker: concat!("longhaul/", env!("CARGO_PKG_VERSION")),
        agent: state.agent.as_str(),
        mode: config.mode(),
        max_inflight: if config.keep { config.max_inflight.max(1) } else { 1 },
        max_line_bytes: config.max_line_bytes,
        features: PROTOCOL_FEATURES,
    };
    // If the program has ended already, the read below reports it.
    let _ = stdin.write_all(&hello.line()).await;
    loop {
        let line = match stdout.next().await {
            Line::Complete(line) | Line::Unfinished(line) => line,
            Line::TooLong(start) => {
                return Err(
                    format!("wrote a line that is too long: {:?}", truncated(&start, 200)).into()
                );
            }
            Line::End => {
                let problem = "ended its output before it was ready".to_owned();
                return Err(HandshakeError { problem, exiting: true });
            }
        };
        let frame = PluginFrame::parse(&String::from_utf8_lossy(&line)).map_err(|problem| {
            format!("wrote, instead of `ready`, a line that {problem}: {:?}", truncated(&line, 200))
        })?;
        match (frame.kind, frame.protocol) {
            (FrameKind::Log, _) => log_frame(state, &frame),
            (FrameKind::Ready, Some(PROTOCOL_VERSION)) => return Ok(frame),
            (FrameKind::Ready, other) => {
                let other = other.map_or("none".to_owned(), |version| version.to_string());
                return Err(format!(
                    "speaks protocol {other}; this worker speaks {PROTOCOL_VERSION}"
                )
                .into());
            }
            _ => {
                return Err(
                    format!("spoke before it was ready: {:?}", truncated(&line, 200)).into()
                );
            }
        }
    }
}
