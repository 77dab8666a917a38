//! Starting a program, and ending it with all its children.
//!
//! The program leads a process group of its own. Whatever happens to the worker's side (an error, a panic, a dropped future), the
//! group is killed. Should the worker itself be killed, the program sees the end of its standard input, and the
//! [guard](super::guard) kills the group.

use super::{config::ProcessConfig, guard::PluginGuard};
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Starts the program, with pipes on all three streams.
pub(super) fn start(config: &ProcessConfig) -> std::io::Result<(Child, Group)> {
    let (program, arguments) =
        config.command.split_first().ok_or_else(|| std::io::Error::other("no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        // The worker's own settings hold secrets: the database's password, for one.
        if name.to_string_lossy().starts_with("LONGHAUL_") {
            command.env_remove(name);
        }
    }
    command.env("PYTHONUNBUFFERED", "1");
    command.envs(config.env.iter().map(|(name, value)| (name, value.expose())));
    if let Some(dir) = &config.working_dir {
        command.current_dir(dir);
    }
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Some(guard), Some(leader)) = (&config.guard, leader) {
        guard.watch(leader);
    }
    Ok((child, Group { leader, guard: config.guard.clone() }))
}

/// The process group of a program. Killed when dropped.
pub(super) struct Group {
    leader: Option<Pid>,
    guard: Option<PluginGuard>,
}

impl Group {
    /// Asks every process of the group to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every process of the group, for good. Call it as soon as the leader has been reaped: the number of the group may
    /// come to mean another one later.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let (Some(guard), Some(leader)) = (&self.guard, self.leader.take()) {
            guard.forget(leader);
        }
        self.leader = None;
    }

    /// Ends every process of the group, while the leader still stands for it.
    pub fn signal_kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.leader {
            // It fails when no process is left, which is what we want.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
