//! The process of a plugin, and its process group.
//!
//! The program leads its own process group. An error, a panic or a dropped future on the worker's
//! side kills the group. When the worker itself is killed, the program sees the end of its standard
//! input, and the [guard](super::guard) kills the group.

use super::{config::ProcessConfig, guard::PluginGuard};
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Starts the program, with pipes on all three streams.
pub(super) fn spawn(config: &ProcessConfig) -> std::io::Result<(Child, ProcessGroup)> {
    let (program, arguments) =
        config.command.split_first().ok_or_else(|| std::io::Error::other("no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        // The worker's own settings hold secrets, such as the password of the database.
        if name.to_string_lossy().starts_with("LONGHAUL_") {
            command.env_remove(name);
        }
    }
    // Python buffers a pipe by blocks, which would hold frames back.
    command.env("PYTHONUNBUFFERED", "1");
    command.envs(config.env.iter().map(|(name, value)| (name, value.expose())));
    if let Some(dir) = &config.working_dir {
        command.current_dir(dir);
    }
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    // As early as possible: a worker killed before this line leaves the program to its closed input.
    if let (Some(guard), Some(leader)) = (&config.guard, leader) {
        guard.watch(leader);
    }
    Ok((child, ProcessGroup { leader, guard: config.guard.clone() }))
}

/// The process group of a program. Dropping it kills the group.
pub(super) struct ProcessGroup {
    leader: Option<Pid>,
    guard: Option<PluginGuard>,
}

impl ProcessGroup {
    /// Sends SIGTERM to the group.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGKILL to the group, and forgets it. Call this as soon as the leader has been reaped:
    /// the system may reuse the group's number later.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let (Some(guard), Some(leader)) = (&self.guard, self.leader.take()) {
            guard.forget(leader);
        }
        self.leader = None;
    }

    /// Sends SIGKILL to the group while the leader has not been reaped.
    pub fn signal_kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.leader {
            // An error means that no process is left.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
