//! One child process in a process group of its own.
//!
//! Guarantee: when a [`ChildGroup`] is dropped its whole group is killed and its leader reaped; when the test process dies
//! first, a [`Guard`] does the same. The leader is reaped at drop only, so its pid, which is also the group's id, cannot be
//! given to a stranger while anything here may still signal it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::eventually::poll;
use crate::guard::Guard;

const FREEZE_LIMIT: Duration = Duration::from_secs(30);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A child that leads its own process group.
pub struct ChildGroup {
    child: Child,
    pid: Pid,
    _guard: Guard,
}

impl ChildGroup {
    /// Starts `command` as the leader of a new group. `directory` is removed by the guard should the test process die.
    pub fn spawn(command: &mut Command, directory: Option<&Path>) -> Self {
        let child = command.process_group(0).spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", command.get_program().display())
        });
        let pid = Pid::from_child(&child);
        let guard = Guard::watch(-i64::from(pid.as_raw_nonzero().get()), "KILL", directory);
        Self { child, pid, _guard: guard }
    }

    /// The leader's process id, which is also the id of the group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the leader alone. Does nothing once the leader has ended.
    pub fn signal(&self, signal: Signal) {
        // An ended leader is still a zombie here, and signals to zombies succeed and do nothing.
        kill_process(self.pid, signal).expect("the leader exists until it is reaped at drop");
    }

    /// Stops the leader (`SIGSTOP`) and returns once every thread of it has stopped, or it has ended.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        // NOWAIT leaves the news for the next look, so it answers for as long as the leader is stopped.
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

    /// How the leader ended, or `None` while it runs. Does not reap.
    pub fn try_exit(&self) -> Option<Exit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status =
            waitid(WaitId::Pid(self.pid), options).expect("the leader is an unreaped child")?;
        let code = status.exit_status().map(Exit::Code);
        code.or_else(|| status.terminating_signal().map(Exit::Signal))
    }

    /// Waits for the leader's end for at most `limit`; `None` when it still runs then.
    pub fn wait_exit(&self, limit: Duration) -> Option<Exit> {
        poll(limit, || self.try_exit())
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.signal_group(Signal::KILL);
        let _ = self.child.wait();
    }
}
