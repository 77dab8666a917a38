//! Ends the plugins of a worker that was killed before it could end them itself.
//!
//! The guard is a process of the same binary that holds the reading end of a pipe whose writing end lives in the worker. It
//! is told which process groups there are. At the end of the pipe the worker is gone, however it died, and every group that
//! is left is killed. A signal to the parent's children would not do: it follows the thread that started them, and does not
//! reach what a plugin has started.

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
pub struct PluginGuard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<i32>,
    process: Option<Child>,
}

impl PluginGuard {
    /// A guard that is this program, run with [`GUARD_COMMAND`]; it calls [`guard_main`] then. Started with the first plugin.
    pub fn of_this_program() -> io::Result<Self> {
        // The link leads to the program that runs, also when its file has been replaced by an upgrade.
        let link = PathBuf::from("/proc/self/exe");
        let program = if link.exists() { link } else { std::env::current_exe()? };
        Ok(Self(Arc::new(Inner { program, state: Mutex::default() })))
    }

    /// Kills this group when the worker is gone.
    pub(super) fn watch(&self, group: Pid) {
        let mut state = self.lock();
        let group = group.as_raw_nonzero().get();
        state.groups.insert(group);
        self.tell(&mut state, &format!("+{group}\n"));
    }

    /// The group has ended.
    pub(super) fn forget(&self, group: Pid) {
        let mut state = self.lock();
        let group = group.as_raw_nonzero().get();
        state.groups.remove(&group);
        self.tell(&mut state, &format!("-{group}\n"));
    }

    /// Tells a running guard this line, or starts one and tells it everything.
    fn tell(&self, state: &mut State, line: &str) {
        if let Some(process) = &mut state.process {
            let pipe = process.stdin.as_mut();
            if pipe.is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok()) {
                return;
            }
            tracing::warn!("plugin guard ended; starting another");
            // Killed before its pipe closes: at the end of it, it would kill plugins that are well.
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
                tracing::warn!(%error, "plugin guard did not start; plugins may outlive a worker that is killed");
            }
        }
    }

    fn start(&self, groups: &BTreeSet<i32>) -> io::Result<Child> {
        let mut process = Command::new(&self.0.program)
            .arg0("longhaul-plugin-guard")
            .arg(GUARD_COMMAND)
            .env_clear()
            .current_dir("/")
            // Neither a terminal's Ctrl-C nor its end is meant for the guard.
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `main` of a guard: waits for the end of standard input, and kills the groups that were named there and not taken back.
pub fn guard_main() -> ExitCode {
    for group in left(BufReader::new(io::stdin())) {
        // It fails when no process is left, which is what we want.
        let _ = kill_process_group(group, Signal::KILL);
    }
    ExitCode::SUCCESS
}

/// Reads to the end which groups are left.
fn left(lines: impl BufRead) -> Vec<Pid> {
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
    fn groups_that_were_taken_back_and_what_is_no_group_are_left_alone() {
        let said = "+70\n+71\n-70\n+0\n+1\n+-5\nnonsense\n+72";
        let pids: Vec<i32> =
            left(said.as_bytes()).iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        assert_eq!(pids, [71, 72]);
    }
}
