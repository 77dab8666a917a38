//! The streams of a running plugin: lines in, lines out.

use super::{
    frames::{Kind, Said},
    lines::{Line, Lines, shown},
    rate::Admitted,
    shared::Shared,
};
use std::sync::Arc;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::mpsc,
};

/// How much of a line an error message shows, bytes.
const SHOWN: usize = 200;

pub(super) type StdoutLines = Lines<BufReader<ChildStdout>>;

/// Writes lines until the plugin shall end; then its input ends.
pub(super) async fn write(
    shared: Arc<Shared>,
    mut stdin: ChildStdin,
    mut queue: mpsc::Receiver<Vec<u8>>,
) {
    let lines = async {
        while let Some(line) = queue.recv().await {
            if stdin.write_all(&line).await.is_err() {
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
pub(super) async fn read(shared: Arc<Shared>, mut stdout: StdoutLines) {
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
                let what = format!("a line is too long\nit begins with {:?}", shown(&start, SHOWN));
                return shared.violate(None, what);
            }
        };
        if let Err((run, what)) = hand_on(&shared, &line) {
            return shared.violate(run, format!("{what}\nin the line {:?}", shown(&line, SHOWN)));
        }
    }
}

fn hand_on(shared: &Shared, line: &[u8]) -> Result<(), (Option<String>, String)> {
    let broken = |what: String| (None, what);
    let text = std::str::from_utf8(line).map_err(|_| broken("it is not UTF-8".to_owned()))?;
    let said = Said::read(text).map_err(|what| broken(format!("it {what}")))?;
    match said.kind {
        Kind::Ready => Err(broken("it said `ready` twice".to_owned())),
        Kind::Log => {
            log(shared, &said);
            Ok(())
        }
        _ => {
            let run = said.run.clone();
            shared.routes.deliver(said).map_err(|what| (run, what))
        }
    }
}

/// Logs what a plugin wants logged, as far as it keeps to the limit for lines of the log.
pub(super) fn log(shared: &Shared, said: &Said) {
    let agent = &shared.agent;
    match shared.admit_log() {
        Admitted::No => return,
        Admitted::After(0) => {}
        Admitted::After(dropped) => tracing::warn!(%agent, dropped, "a plugin logs too much"),
    }
    let text = shown(said.log_text().as_bytes(), 4096);
    let task = said.run.as_deref().and_then(|run| shared.routes.task_of(run));
    let task = task.or_else(|| shared.only_task()).map(tracing::field::display);
    match said.level.as_deref() {
        Some("error") => tracing::error!(%agent, task, text, "plugin"),
        Some("warn" | "warning") => tracing::warn!(%agent, task, text, "plugin"),
        Some("debug" | "trace") => tracing::debug!(%agent, task, text, "plugin"),
        _ => tracing::info!(%agent, task, text, "plugin"),
    }
}
