//! The guard: a process that ends the plugins of a worker that was killed.
//!
//! The guard runs the same binary and reads a pipe whose writing end the worker holds. The worker
//! names its plugins' process groups there. At the end of the pipe the worker is dead, however it
//! died, and the guard kills every remaining group. A parent death signal would not do: it depends
//! on the thread that started a child, and does not reach the children of a plugin.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The hidden subcommand that makes a process of this binary the guard.
pub const GUARD_COMMAND: &str = "__plugin-guard";

/// A handle to the guard of this process; clones share it.
#[derive(Debug, Clone)]
pub struct PluginGuard(Arc<GuardInner>);

#[derive(Debug)]
struct GuardInner {
    program: PathBuf,
    state: Mutex<GuardState>,
}

#[derive(Debug, Default)]
struct GuardState {
    groups: BTreeSet<i32>,
    process: Option<Child>,
}

impl PluginGuard {
    /// A guard that runs the current program with [`GUARD_COMMAND`], which must call
    /// [`guard_main`]. The first plugin starts it.
    ///
    /// # Errors
    /// The path of the current program is not known.
    pub fn for_current_program() -> io::Result<Self> {
        // The link leads to the running program even if an upgrade has replaced its file.
        let link = PathBuf::from("/proc/self/exe");
        let program = if link.exists() { link } else { std::env::current_exe()? };
        Ok(Self(Arc::new(GuardInner { program, state: Mutex::default() })))
    }

    /// Adds a group to those that the guard kills when the worker dies.
    pub(super) fn watch(&self, group: Pid) {
        let mut state = self.lock();
        let group = group.as_raw_nonzero().get();
        state.groups.insert(group);
        self.send_line(&mut state, &format!("+{group}\n"));
    }

    /// Removes a group that has ended.
    pub(super) fn forget(&self, group: Pid) {
        let mut state = self.lock();
        let group = group.as_raw_nonzero().get();
        state.groups.remove(&group);
        self.send_line(&mut state, &format!("-{group}\n"));
    }

    /// Sends a line to the running guard, or starts a guard and names all groups to it.
    fn send_line(&self, state: &mut GuardState, line: &str) {
        if let Some(process) = &mut state.process {
            let pipe = process.stdin.as_mut();
            if pipe.is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok()) {
                return;
            }
            tracing::warn!("plugin guard died; restarting it");
            // Kill it before its pipe closes: at the end of the pipe it would kill healthy plugins.
            let _ = process.kill();
            let _ = process.wait();
            state.process = None;
        }
        if state.groups.is_empty() {
            return;
        }
        match self.start(&state.groups) {
            Ok(process) => state.process = Some(process),
            Err(error) => {
                tracing::warn!(%error, "plugin guard failed to start: plugins may outlive a killed worker");
            }
        }
    }

    fn start(&self, groups: &BTreeSet<i32>) -> io::Result<Child> {
        let mut process = Command::new(&self.0.program)
            .arg0("longhaul-plugin-guard")
            .arg(GUARD_COMMAND)
            .env_clear()
            .current_dir("/")
            // Keeps the terminal's signals from the guard.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(pipe) = &mut process.stdin {
            for group in groups {
                writeln!(pipe, "+{group}")?;
            }
        }
        Ok(process)
    }

    fn lock(&self) -> MutexGuard<'_, GuardState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `main` of a guard: waits for the end of standard input, and kills the groups that were named
/// there and not removed.
pub fn guard_main() -> ExitCode {
    for group in remaining_groups(BufReader::new(io::stdin())) {
        // An error means that no process is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
    ExitCode::SUCCESS
}

/// Reads all lines, and returns the groups that remain.
fn remaining_groups(lines: impl BufRead) -> Vec<Pid> {
    let mut groups = BTreeSet::new();
    for line in lines.lines().map_while(Result::ok) {
        let number = |text: &str| text.parse::<i32>().ok().filter(|group| *group > 1);
        if let Some(group) = line.strip_prefix('+').and_then(number) {
            groups.insert(group);
        } else if let Some(group) = line.strip_prefix('-').and_then(number) {
            groups.remove(&group);
        }
    }
    groups.into_iter().filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_groups_and_invalid_numbers_are_not_killed() {
        let frame = "+70\n+71\n-70\n+0\n+1\n+-5\nnonsense\n+72";
        let pids: Vec<i32> = remaining_groups(frame.as_bytes())
            .iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect();
        assert_eq!(pids, [71, 72]);
    }
}
