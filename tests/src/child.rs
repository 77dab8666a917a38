//! One child process in a process group of its own.
//!
//! Guarantee: dropping a [`ChildGroup`] kills its whole group and reaps its leader; if the test
//! process dies first, a [`CleanupGuard`] does the same. The leader is reaped at drop only, so its
//! pid, which is also the group's id, cannot be reused while it may still be signalled.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::eventually::poll;
use crate::guard::CleanupGuard;

const FREEZE_LIMIT: Duration = Duration::from_secs(30);

/// Exit status of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessExit {
    /// The process returned this code.
    Code(i32),
    /// The process was ended by this signal.
    Signal(i32),
}

/// A child that leads its own process group.
pub struct ChildGroup {
    child: Child,
    pid: Pid,
    _guard: CleanupGuard,
}

impl ChildGroup {
    /// Starts `command` as the leader of a new group. The guard removes `directory` if the test
    /// process dies.
    pub fn spawn(command: &mut Command, directory: Option<&Path>) -> Self {
        let child = command.process_group(0).spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", command.get_program().display())
        });
        let pid = Pid::from_child(&child);
        let guard = CleanupGuard::watch(-i64::from(pid.as_raw_nonzero().get()), "KILL", directory);
        Self { child, pid, _guard: guard }
    }

    /// The leader's process id, which is also the id of the group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the leader only; does nothing once the leader has ended.
    pub fn signal(&self, signal: Signal) {
        // An ended leader is still a zombie here, and signals to zombies succeed and do nothing.
        kill_process(self.pid, signal).expect("the leader exists until it is reaped at drop");
    }

    /// Stops the leader (`SIGSTOP`) and returns once all its threads have stopped, or it has ended.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        // NOWAIT does not consume the event, so every poll sees it while the leader is stopped.
        let options = WaitIdOptions::STOPPED
            | WaitIdOptions::EXITED
            | WaitIdOptions::NOHANG
            | WaitIdOptions::NOWAIT;
        let stopped = poll(FREEZE_LIMIT, || {
            waitid(WaitId::Pid(self.pid), options).expect("the leader is an unreaped child")
        });
        assert!(stopped.is_some(), "process {} did not stop within {FREEZE_LIMIT:?}", self.pid());
    }

    /// Sends a signal to every process of the group.
    pub fn signal_group(&self, signal: Signal) {
        // A group of zombies alone answers with an error, which is as good as delivered.
        let _ = kill_process_group(self.pid, signal);
    }

    /// The leader's exit status, or `None` while it runs. Does not reap.
    pub fn try_exit(&self) -> Option<ProcessExit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status =
            waitid(WaitId::Pid(self.pid), options).expect("the leader is an unreaped child")?;
        let code = status.exit_status().map(ProcessExit::Code);
        code.or_else(|| status.terminating_signal().map(ProcessExit::Signal))
    }

    /// Waits at most `limit` for the leader to end; `None` if it still runs.
    pub fn wait_exit(&self, limit: Duration) -> Option<ProcessExit> {
        poll(limit, || self.try_exit())
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.signal_group(Signal::KILL);
        let _ = self.child.wait();
    }
}
