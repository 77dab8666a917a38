//! Guarantee: a guarded process is killed and its directory removed when the test process dies in
//! any way, SIGKILL included.
//!
//! The guard is a small shell process in its own process group. It reads from a pipe whose writing
//! end the test process holds. A line on the pipe releases the guard; end of file means that the
//! test process is gone.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Sends the first signal, allows five seconds, kills, removes the directory. `$1` is a pid or
/// `-pgid`.
const CLEANUP_SCRIPT: &str = r#"
trap '' INT TERM HUP
read -r word && exit 0
kill -s "$2" -- "$1" 2>/dev/null
tries=0
while kill -s 0 -- "$1" 2>/dev/null && [ "$tries" -lt 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -s KILL -- "$1" 2>/dev/null
[ -z "$3" ] || rm -rf -- "$3"
"#;

/// Cleans up one process or process group if the test process dies before the guard is dropped.
pub struct CleanupGuard {
    shell: Child,
}

impl CleanupGuard {
    /// Watches `target`, a pid or a negated process group id. If the test process dies, the target
    /// gets `signal` first (`QUIT`, `KILL`, …), and `directory` is removed at the end.
    pub fn watch(target: i64, signal: &str, directory: Option<&Path>) -> Self {
        let shell = Command::new("sh")
            .args(["-c", CLEANUP_SCRIPT, "guard", &target.to_string(), signal])
            .arg(directory.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a guard needs sh in the path");
        Self { shell }
    }
}

impl Drop for CleanupGuard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            // The guard may have exited already; then there is nothing to release.
            let _ = pipe.write_all(b"released\n");
        }
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::CleanupGuard;
    use crate::eventually_blocking;

    #[test]
    fn a_pipe_that_closes_without_a_word_kills_the_group_and_removes_the_folder() {
        let folder = TempDir::new().expect("the temporary folder is writable").keep();
        let mut child =
            Command::new("sleep").arg("300").process_group(0).spawn().expect("sleep exists");
        let mut guard = CleanupGuard::watch(-i64::from(child.id()), "TERM", Some(&folder));
        // The kernel closes the pipe like this when the test process dies.
        drop(guard.shell.stdin.take());
        assert_eq!(child.wait().expect("our child").signal(), Some(15));
        eventually_blocking(Duration::from_secs(20), "the folder is gone", || {
            (!folder.exists()).then_some(()).ok_or("it is there")
        });
    }

    #[test]
    fn a_released_guard_kills_nothing() {
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("cat exists");
        drop(CleanupGuard::watch(-i64::from(child.id()), "KILL", None));
        drop(child.stdin.take());
        assert!(child.wait().expect("our child").success(), "it ended by itself, not by a signal");
    }
}
