//! The real `longhaul` command as a process that a test can start, freeze, kill and read the output
//! of.
//!
//! Guarantee: when a [`TestProcess`] is dropped, its whole process group is dead and reaped. When
//! the test fails, its output is printed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{ChildGroup, ProcessExit};
use crate::eventually::eventually;
use crate::paths;

/// Time for a process to become ready, on a loaded machine.
pub const READY_LIMIT: Duration = Duration::from_secs(60);

/// A command to start. It does not inherit the test's own `LONGHAUL_…` variables.
#[derive(Debug)]
pub struct ProcessBuilder {
    command: Command,
}

impl ProcessBuilder {
    /// The `longhaul` command, with these arguments.
    pub fn longhaul<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::program(paths::binary("longhaul"), arguments)
    }

    /// The `longhaul` command with the `script` executor (`longhaul-lab`), with these arguments.
    pub fn lab<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::program(paths::binary("longhaul-lab"), arguments)
    }

    /// Any other program with these arguments.
    pub fn program<S: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LONGHAUL_"))
        {
            command.env_remove(name);
        }
        Self { command }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts the process with its output captured in files.
    pub fn start(mut self) -> TestProcess {
        let folder =
            TempDir::with_prefix("longhaul-out-").expect("the temporary folder is writable");
        let file =
            |name: &str| File::create(folder.path().join(name)).expect("our folder is writable");
        self.command.stdout(file("stdout")).stderr(file("stderr"));
        let name = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let group = ChildGroup::spawn(&mut self.command, Some(folder.path()));
        TestProcess { group, name, folder }
    }
}

/// A running process, usually of the `longhaul` binary.
pub struct TestProcess {
    // Dropped in this order: the processes are gone before their output files are.
    group: ChildGroup,
    name: String,
    folder: TempDir,
}

impl TestProcess {
    /// Waits until `GET {base}/readyz` returns 200; panics when the process ends first or after
    /// [`READY_LIMIT`].
    pub async fn wait_ready(&self, base: &str) {
        let client = crate::Client::new(base);
        eventually(READY_LIMIT, &format!("{} is ready at {base}", self.name), async || {
            if let Some(exit) = self.group.try_exit() {
                panic!("{} ended with {exit:?} before it was ready:\n{}", self.name, self.stderr());
            }
            let status = client.try_get_status("/readyz").await?;
            if status == 200 { Ok(()) } else { Err(format!("status {status}")) }
        })
        .await;
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// Kills the process but not its children, and waits for its end. Its locks and sockets are
    /// free on return.
    pub fn kill9(&self) {
        self.group.signal(Signal::KILL);
        self.wait_exit(Duration::from_secs(30));
    }

    /// Asks the process to drain and end (`SIGTERM`).
    pub fn sigterm(&self) {
        self.group.signal(Signal::TERM);
    }

    /// Asks nginx to shut down gracefully (`SIGQUIT`).
    pub fn sigquit(&self) {
        self.group.signal(Signal::QUIT);
    }

    /// Signals that the terminal is gone (`SIGHUP`).
    pub fn sighup(&self) {
        self.group.signal(Signal::HUP);
    }

    /// Freezes the process but not its children. On return it has stopped.
    pub fn sigstop(&self) {
        self.group.freeze();
    }

    /// Resumes after [`TestProcess::sigstop`].
    pub fn sigcont(&self) {
        self.group.signal(Signal::CONT);
    }

    /// Returns true while the process has not ended.
    pub fn is_running(&self) -> bool {
        self.group.try_exit().is_none()
    }

    /// Waits for the process to end and returns its exit status; panics after `limit`.
    pub fn wait_exit(&self, limit: Duration) -> ProcessExit {
        let exit = self.group.wait_exit(limit);
        exit.unwrap_or_else(|| {
            panic!("{} (pid {}) still runs after {limit:?}", self.name, self.pid())
        })
    }

    /// The standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.folder.path().join("stdout"))
    }

    /// The standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.folder.path().join("stderr"))
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "--- stdout of {}\n{}\n--- stderr\n{}\n---",
                self.name,
                self.stdout(),
                self.stderr()
            );
        }
    }
}

fn read(path: &PathBuf) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::{ProcessBuilder, ProcessExit, TestProcess};
    use crate::eventually_blocking;

    const EXIT_TIMEOUT: Duration = Duration::from_secs(20);

    /// A shell with a child that it tells the pid of, and both wait.
    fn family() -> (TestProcess, PathBuf) {
        let shell = ProcessBuilder::program("sh", ["-c", "sleep 300 & echo $!; wait"]).start();
        let child = eventually_blocking(EXIT_TIMEOUT, "the shell tells its child", || {
            shell.stdout().trim().parse::<u32>()
        });
        (shell, PathBuf::from(format!("/proc/{child}/cmdline")))
    }

    /// A process that has ended, reaped or not, has no command line.
    fn is_alive(cmdline: &Path) -> bool {
        std::fs::read(cmdline).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn dropping_a_process_kills_its_children_too() {
        let (shell, child) = family();
        assert!(is_alive(&child));
        drop(shell);
        eventually_blocking(EXIT_TIMEOUT, "the child is gone", || {
            (!is_alive(&child)).then_some(()).ok_or("it lives")
        });
    }

    #[test]
    fn kill9_ends_the_process_and_leaves_its_children() {
        let (shell, child) = family();
        shell.kill9();
        assert_eq!(shell.wait_exit(EXIT_TIMEOUT), ProcessExit::Signal(9));
        assert!(!shell.is_running());
        assert!(is_alive(&child));
    }

    #[test]
    fn output_and_exit_code_are_kept() {
        let process = ProcessBuilder::program("sh", ["-c", "echo out; echo $VALUE >&2; exit 3"])
            .env("VALUE", "err")
            .start();
        assert_eq!(process.wait_exit(EXIT_TIMEOUT), ProcessExit::Code(3));
        assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_frozen_process_reacts_to_nothing_until_it_continues() {
        let process = ProcessBuilder::program("sleep", ["300"]).start();
        process.sigstop();
        process.sigterm();
        assert!(process.is_running());
        process.sigcont();
        assert_eq!(process.wait_exit(EXIT_TIMEOUT), ProcessExit::Signal(15));
    }
}
