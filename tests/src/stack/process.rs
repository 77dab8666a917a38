//! A port of a stack and the process behind it.

use super::Mode;
use crate::port::Port;
use crate::process::{Launch, Longhaul};

/// What a process of a stack does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Dev,
    /// Answers clients.
    Api,
    /// Runs tasks.
    Worker,
}

impl Role {
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

/// A reserved port with the process that listens there, and those that did before.
pub struct Place {
    port: Port,
    running: Option<Longhaul>,
    ended: Vec<Longhaul>,
}

impl Place {
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

    /// The process; panics when it was ended.
    pub fn running(&self) -> &Longhaul {
        self.running.as_ref().expect("this process was ended")
    }

    pub(super) async fn start(&mut self, launch: Launch) {
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

    /// What the processes here have logged so far.
    pub fn log(&self) -> String {
        self.ended.iter().chain(&self.running).map(Longhaul::stderr).collect()
    }
}
