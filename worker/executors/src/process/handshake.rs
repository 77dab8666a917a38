//! From a program to a plugin that is ready.

use super::{
    child,
    config::ProcessConfig,
    frames::{FEATURES, Kind, PROTOCOL, Said, ToPlugin},
    lines::{Line, Lines, shown},
    plugin::{Plugin, Started, watch_stderr},
    shared::Shared,
    streams::{StdoutLines, log},
};
use longhaul_domain::AgentName;
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, io::BufReader, process::ChildStdin, time::timeout};

/// How long a failed program may take to exit and to have its last words read.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is wrong with how a program began.
struct Problem {
    what: String,
    /// It has closed its output: it is about to exit.
    ending: bool,
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self { what, ending: false }
    }
}

/// Why a program did not become a plugin.
#[derive(Debug, thiserror::Error)]
#[error("the plugin `{command}` of agent {agent} {problem}")]
pub struct StartError {
    command: String,
    agent: AgentName,
    problem: String,
}

/// Starts the program and greets it.
pub(super) async fn start(
    agent: &AgentName,
    config: &ProcessConfig,
) -> Result<Arc<Plugin>, StartError> {
    let failed =
        |problem: String| StartError { command: config.shown(), agent: agent.clone(), problem };
    let (mut child, mut group) = child::start(config).map_err(|error| {
        failed(format!(
            "cannot be started: {}; check command and working_dir of [agent.process]",
            why(&error, config)
        ))
    })?;
    let shared = Arc::new(Shared::new(agent.clone(), config));
    let stderr = watch_stderr(&shared, &mut child);
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("has no pipes".to_owned()));
    };
    let mut stdout = Lines::new(BufReader::new(stdout), config.max_line_bytes);
    let greeting = timeout(config.start_timeout, greet(&shared, config, &mut stdin, &mut stdout));
    let problem = match greeting.await {
        Ok(Ok(ready)) => {
            tracing::debug!(%agent, name = ready.name, version = ready.version, "a plugin is ready");
            let started = Started { child, group, stdin, stdout, ready };
            return Ok(Plugin::run(shared, started, config, stderr));
        }
        Ok(Err(problem)) => problem,
        Err(_) => not_ready(config.start_timeout).into(),
    };
    // One that is about to exit may tell its status; another may not hold us up.
    let patience = if problem.ending { LAST_WORDS } else { Duration::ZERO };
    let exited = timeout(patience, child.wait()).await;
    group.kill();
    let _ = timeout(LAST_WORDS, stderr).await;
    let status = match exited {
        Ok(Ok(status)) => format!(" ({status})"),
        _ => String::new(),
    };
    Err(failed(format!("{}{status}{}", problem.what, shared.tail.sentence())))
}

/// The reason why a program cannot be started, more plainly than the system says it.
fn why(error: &std::io::Error, config: &ProcessConfig) -> String {
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
         {{\"type\":\"ready\",\"protocol\":{PROTOCOL}}} and flush it; raise start_timeout if it needs longer"
    )
}

/// Waits for `ready`.
async fn greet(
    shared: &Shared,
    config: &ProcessConfig,
    stdin: &mut ChildStdin,
    stdout: &mut StdoutLines,
) -> Result<Said, Problem> {
    let hello = ToPlugin::Hello {
        protocol: PROTOCOL,
        worker: concat!("longhaul/", env!("CARGO_PKG_VERSION")),
        agent: shared.agent.as_str(),
        mode: config.mode(),
        max_inflight: if config.keep { config.max_inflight.max(1) } else { 1 },
        max_line_bytes: config.max_line_bytes,
        features: FEATURES,
    };
    // A program that has ended already is found by reading.
    let _ = stdin.write_all(&hello.line()).await;
    loop {
        let line = match stdout.next().await {
            Line::Whole(line) | Line::Unfinished(line) => line,
            Line::TooLong(start) => {
                return Err(
                    format!("wrote a line that is too long: {:?}", shown(&start, 200)).into()
                );
            }
            Line::End => {
                let what = "ended its output before it was ready".to_owned();
                return Err(Problem { what, ending: true });
            }
        };
        let said = Said::read(&String::from_utf8_lossy(&line)).map_err(|what| {
            format!("wrote, instead of `ready`, a line that {what}: {:?}", shown(&line, 200))
        })?;
        match (said.kind, said.protocol) {
            (Kind::Log, _) => log(shared, &said),
            (Kind::Ready, Some(PROTOCOL)) => return Ok(said),
            (Kind::Ready, other) => {
                let other = other.map_or("none".to_owned(), |version| version.to_string());
                return Err(
                    format!("speaks protocol {other}; this worker speaks {PROTOCOL}").into()
                );
            }
            _ => {
                return Err(format!("spoke before it was ready: {:?}", shown(&line, 200)).into());
            }
        }
    }
}
