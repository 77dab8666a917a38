//! The init process of a container: runs the command as its child, forwards signals, and reaps
//! orphans, which the kernel reparents to the first process.
//!
//! It is a separate process so that reaping cannot take the exit status of a plugin from the worker
//! that waits for it.

use crate::exit::CommandError;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};
use tokio::signal::unix::{SignalKind, signal};

/// Signals that are forwarded to the child.
const FORWARDED_SIGNALS: [Signal; 6] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// Returns true for the first process of a container.
pub fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Runs this program again as a child; returns its exit code.
pub fn run() -> ExitCode {
    match supervise() {
        Ok(code) => code,
        Err(error) => crate::exit::report(Err(error)),
    }
}

fn supervise() -> Result<ExitCode, CommandError> {
    let failed = |error| CommandError::failed(format!("the first process cannot work: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        // Registered before the child starts, so that no signal is missed.
        let mut child_signals = signal(SignalKind::child()).map_err(failed)?;
        let (sender, mut forwarded) = tokio::sync::mpsc::unbounded_channel();
        for number in FORWARDED_SIGNALS {
            let mut signals = signal(SignalKind::from_raw(number.as_raw())).map_err(failed)?;
            let sender = sender.clone();
            longhaul_runtime::spawn("forward a signal", async move {
                while signals.recv().await.is_some() && sender.send(number).is_ok() {}
            });
        }
        let child = start_child().map_err(failed)?;
        loop {
            tokio::select! {
                _ = child_signals.recv() => {
                    if let Some(status) = reap(child) {
                        return Ok(exit_code(status));
                    }
                }
                Some(number) = forwarded.recv() => {
                    // This fails if the child has just ended, which the other branch handles.
                    let _ = kill_process(child, number);
                }
            }
        }
    })
}

/// Starts the child in its own process group, so that a terminal's Ctrl-C reaches it once, through
/// this process.
fn start_child() -> std::io::Result<Pid> {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "longhaul".into());
    let child =
        // The running binary, even if an upgrade has replaced its file.
        Command::new("/proc/self/exe").arg0(name).args(arguments).process_group(0).spawn()?;
    Ok(Pid::from_child(&child))
}

/// Reaps all ended processes; returns the status of the child if it is among them.
fn reap(child: Pid) -> Option<WaitStatus> {
    // Pending signals of one kind merge, so one may stand for several processes.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            return Some(status);
        }
    }
    None
}

/// Returns the exit code as shells do: the code, or 128 plus the signal number.
fn exit_code(status: WaitStatus) -> ExitCode {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|n| 128 + n));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
