//! A port of a stack and the process behind it.

use super::Mode;
use crate::port::Port;
use crate::process::{ProcessBuilder, TestProcess};

/// Kind of a stack's process, by its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessKind {
    /// One process for everything.
    Dev,
    /// Answers clients.
    Api,
    /// Runs tasks.
    Worker,
}

impl ProcessKind {
    pub(super) const fn of_node(mode: Mode) -> Self {
        match mode {
            Mode::Embedded => Self::Dev,
            Mode::Distributed => Self::Api,
        }
    }

    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// A reserved port, the process that listens on it, and its predecessors.
pub struct NodeSlot {
    port: Port,
    running: Option<TestProcess>,
    ended: Vec<TestProcess>,
}

impl NodeSlot {
    pub(super) fn reserve() -> Self {
        Self { port: Port::reserve(), running: None, ended: Vec::new() }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// The running process; panics when it was killed.
    pub fn running(&self) -> &TestProcess {
        self.running.as_ref().expect("this process was ended")
    }

    pub(super) async fn start(&mut self, launch: ProcessBuilder) {
        let process = launch.start();
        self.ended.extend(self.running.take());
        let process = self.running.insert(process);
        process.wait_ready(&format!("http://{}", self.port.address())).await;
    }

    pub(super) fn kill9(&mut self) {
        if let Some(process) = self.running.take() {
            process.kill9();
            self.ended.push(process);
        }
    }

    /// The logs of this process and its predecessors.
    pub fn log(&self) -> String {
        self.ended.iter().chain(&self.running).map(TestProcess::stderr).collect()
    }
}
