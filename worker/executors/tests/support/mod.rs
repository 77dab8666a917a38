//! Plugins written in Python on the spot.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use longhaul_executor::{ExecutorDescriptor, domain::AgentName};
use longhaul_executors::{ProcessConfig, ProcessExecutor};
use longhaul_runtime::Secret;
use std::{future::Future, path::Path, time::Duration};
use tempfile::TempDir;

/// A program in a folder of its own.
pub struct Plugin {
    pub folder: TempDir,
    pub config: ProcessConfig,
}

impl Plugin {
    /// A plugin that does this with each `run`. See [`library`] for what it may use.
    pub fn new(work: &str) -> Self {
        let body = indented(work, "    ");
        Self::raw(&library(&format!("def work(run):\n{body}\nserve(work)"), ""))
    }

    /// A plugin of this program text.
    pub fn raw(code: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plugin.py");
        std::fs::write(&file, code).expect("a file");
        let mut config = ProcessConfig::new(["python3", file.to_str().expect("a plain path")]);
        config.kill_grace = Duration::from_secs(20);
        Self { folder, config }
    }

    /// Some program.
    pub fn command(command: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, config: ProcessConfig::new(command.iter().copied()) }
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.config.env.insert(name.to_owned(), Secret::new(value.to_owned()));
        self
    }

    pub fn executor(&self) -> ProcessExecutor {
        let mut descriptor =
            ExecutorDescriptor::text("plugin", "1.0.0", "Under test").expect("a name");
        descriptor.agent.name = AgentName::new("plugin").expect("a name");
        ProcessExecutor::new(descriptor, self.config.clone())
    }
}

/// Removes the indentation that the text has in a test, and indents it by something else.
fn indented(text: &str, by: &str) -> String {
    let first = text.lines().skip(1).filter(|line| !line.trim().is_empty());
    let common = first.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let lines = text.lines().enumerate().map(|(n, line)| match n {
        0 => format!("{by}{line}"),
        _ => format!("{by}{}", line.get(common..).unwrap_or_default()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A small library for plugins, and what follows it.
pub fn library(rest: &str, ready: &str) -> String {
    let rest = indented(rest, "");
    format!(
        r#"
import json, os, sys

def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()

def hear():
    line = sys.stdin.readline()
    if not line: sys.exit(0)
    return json.loads(line)

class Run:
    def __init__(self, start):
        self.start, self.id, self.credit = start, start["run"], start["credit"]

    def next(self, kind):
        while True:
            said = hear()
            if said.get("run") != self.id: continue
            if said["type"] == "credit": self.credit += said["credit"]
            if said["type"] == kind: return said

    def output(self, **message):
        while self.credit == 0: self.next("credit")
        self.credit -= 1
        send({{"run": self.id, **message}})

    def ask(self, method, **params):
        send({{"type": "request", "run": self.id, "id": "q", "method": method, "params": params}})
        return self.next("reply")

    def end(self, kind, **message):
        send({{"type": kind, "run": self.id, **message}})

def serve(work):
    while True:
        said = hear()
        if said["type"] == "run": work(Run(said))

hello = hear()
assert hello["type"] == "hello"
send({{"type": "ready", "protocol": 1{ready}}})
{rest}
"#
    )
}

/// Fails a test that hangs instead of hanging with it.
pub async fn limited<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("no hang")
}

/// Waits until a process is gone, for a while.
pub async fn has_ended(pid: u32) -> bool {
    let running = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // An orphan that nobody has reaped yet has ended all the same.
        !stat.is_empty() && !stat.contains(") Z ")
    };
    until(|| (!running()).then_some(())).await.is_some()
}

/// Waits until a file exists.
pub async fn content(file: &Path) -> String {
    until(|| std::fs::read_to_string(file).ok()).await.expect("the file comes")
}

async fn until<T>(mut check: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..3000 {
        if let Some(found) = check() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}
