//! The first process of a container. It runs the real one as its child, hands signals on to it, and reaps what it has not
//! started itself: the kernel gives every orphan of a container to its first process.
//!
//! Reaping in a process of its own can take no exit status from the one that waits for its plugins.

use crate::exit::Failure;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};
use tokio::signal::unix::{SignalKind, signal};

/// The signals that are handed on.
const FORWARDED: [Signal; 6] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// Whether this is the first process of its container.
pub fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Runs this program once more, as a child, and ends as it does.
pub fn run() -> ExitCode {
    match supervise() {
        Ok(code) => code,
        Err(failure) => crate::exit::report(Err(failure)),
    }
}

fn supervise() -> Result<ExitCode, Failure> {
    let failed = |error| Failure::failed(format!("the first process cannot work: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        // Before the child exists: what arrives from then on is seen.
        let mut ended = signal(SignalKind::child()).map_err(failed)?;
        let (heard, mut forwarded) = tokio::sync::mpsc::unbounded_channel();
        for number in FORWARDED {
            let mut signals = signal(SignalKind::from_raw(number.as_raw())).map_err(failed)?;
            let heard = heard.clone();
            longhaul_runtime::spawn("forward a signal", async move {
                while signals.recv().await.is_some() && heard.send(number).is_ok() {}
            });
        }
        let child = start().map_err(failed)?;
        loop {
            tokio::select! {
                _ = ended.recv() => {
                    if let Some(status) = reap(child) {
                        return Ok(exit_code(status));
                    }
                }
                Some(number) = forwarded.recv() => {
                    // It fails when the child has just ended, which the other branch sees.
                    let _ = kill_process(child, number);
                }
            }
        }
    })
}

/// Starts the child in a process group of its own: a terminal's Ctrl-C reaches it once, by way of this process.
fn start() -> std::io::Result<Pid> {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| "longhaul".into());
    let child =
        Command::new("/proc/self/exe").arg0(name).args(arguments).process_group(0).spawn()?;
    Ok(Pid::from_child(&child))
}

/// Reaps everything that has ended; gives the status of the child if it is among that.
fn reap(child: Pid) -> Option<WaitStatus> {
    // One signal may stand for several ends.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            return Some(status);
        }
    }
    None
}

/// As shells tell it: the code, or 128 and the number of the signal.
fn exit_code(status: WaitStatus) -> ExitCode {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|n| 128 + n));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
