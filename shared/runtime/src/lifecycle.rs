//! An end in two stages.
//!
//! Draining: take no new work, finish what runs. Stopping: give up what is left, at once. The first SIGTERM, SIGINT or SIGHUP
//! (the terminal was closed) starts draining, a second one or the drain deadline starts stopping; stopping implies draining.
//! Neither is ever taken back.
//! A process that is killed instead skips both stages, and nothing durable may depend on them.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::spawn::spawn;

/// The shutdown of one process; clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stop: CancellationToken,
    // A child of `stop`, so that stopping implies draining.
    drain: CancellationToken,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// All work had ended by itself.
    Drained,
    /// The deadline passed with work left.
    Deadline,
    /// A second signal, or [`Shutdown::stop`], asked for the end with work left.
    Forced,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A shutdown that nobody has asked for yet.
    pub fn new() -> Self {
        let stop = CancellationToken::new();
        let drain = stop.child_token();
        Self { stop, drain }
    }

    /// Cancelled when no new work shall be taken.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Cancelled when what still runs shall be given up.
    pub fn stop_now(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts draining, as a first signal does.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Starts stopping, as a second signal does.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// One signal: the first drains, the next stops.
    fn advance(&self, name: &str) {
        if self.drain.is_cancelled() {
            tracing::warn!(signal = name, "stopping at once");
            self.stop();
        } else {
            tracing::info!(signal = name, "draining; a second signal stops at once");
            self.drain();
        }
    }

    /// Listens for SIGTERM, SIGINT and SIGHUP from now on, in the background. A SIGHUP that is ignored already stays so:
    /// `nohup` wants the process to outlive its terminal.
    ///
    /// Must be called within a Tokio runtime; fails when the handlers cannot be installed.
    pub fn listen_for_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup =
            if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        let shutdown = self.clone();
        spawn("signals", async move {
            while !shutdown.stop.is_cancelled() {
                let name = next_signal(&mut terminate, &mut interrupt, hangup.as_mut()).await;
                shutdown.advance(name);
            }
        });
        Ok(())
    }

    /// Waits until draining begins, then gives `work` until `drain_timeout` to end; afterwards [`Shutdown::stop_now`] is
    /// cancelled, whatever the outcome. The caller bounds how long it waits for given-up work to notice.
    ///
    /// `work` is polled from the start, and ending before any shutdown counts as drained.
    pub async fn wait(
        &self,
        drain_timeout: Duration,
        work: impl Future<Output = ()>,
    ) -> DrainOutcome {
        let deadline = async {
            self.drain.cancelled().await;
            tokio::time::sleep(drain_timeout).await;
        };
        let how = tokio::select! {
            biased;
            () = work => DrainOutcome::Drained,
            () = self.stop.cancelled() => DrainOutcome::Forced,
            () = deadline => DrainOutcome::Deadline,
        };
        self.stop();
        how
    }
}

async fn next_signal(
    terminate: &mut Signal,
    interrupt: &mut Signal,
    hangup: Option<&mut Signal>,
) -> &'static str {
    let hung_up = async {
        match hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = hung_up => "SIGHUP",
    }
}

/// Whether this process was started with SIGHUP ignored. Where the system does not tell, it was not.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const DRAIN: Duration = Duration::from_secs(30);

    #[test]
    fn the_first_signal_drains_and_the_second_stops() {
        let shutdown = Shutdown::new();
        let seen_elsewhere = shutdown.clone();
        shutdown.advance("SIGTERM");
        assert!(
            seen_elsewhere.draining().is_cancelled() && !seen_elsewhere.stop_now().is_cancelled()
        );
        shutdown.advance("SIGINT");
        assert!(seen_elsewhere.stop_now().is_cancelled());
    }

    #[test]
    fn stopping_implies_draining() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        assert!(shutdown.draining().is_cancelled());
    }

    /// Sends a signal to this very process.
    async fn send(signal: &str) {
        let line = format!("kill -{signal} {}", std::process::id());
        let sent = tokio::process::Command::new("sh").args(["-c", &line]).status().await.unwrap();
        assert!(sent.success());
    }

    #[tokio::test]
    async fn real_signals_are_heard() {
        let shutdown = Shutdown::new();
        shutdown.listen_for_signals().unwrap();
        send("TERM").await;
        shutdown.draining().cancelled().await;
        assert!(!shutdown.stop_now().is_cancelled());
        send("INT").await;
        shutdown.stop_now().cancelled().await;
        // In the same test, as every listener of the process hears every signal: a terminal that closes drains too.
        let shutdown = Shutdown::new();
        shutdown.listen_for_signals().unwrap();
        send("HUP").await;
        shutdown.draining().cancelled().await;
        assert!(!shutdown.stop_now().is_cancelled());
    }

    #[test]
    fn the_hangup_of_a_process_that_outlives_its_terminal_is_found_ignored() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup("Name:\tx\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_in_time_is_drained() {
        let shutdown = Shutdown::new();
        let draining = shutdown.draining().clone();
        shutdown.drain();
        let how = shutdown.wait(DRAIN, async move { draining.cancelled().await }).await;
        assert_eq!(how, DrainOutcome::Drained);
        assert!(shutdown.stop_now().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_given_up_at_the_deadline() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        let before = tokio::time::Instant::now();
        assert_eq!(shutdown.wait(DRAIN, pending()).await, DrainOutcome::Deadline);
        assert_eq!(before.elapsed().as_secs(), DRAIN.as_secs());
        assert!(shutdown.stop_now().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_does_not_wait_for_the_deadline() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        assert_eq!(shutdown.wait(DRAIN, pending()).await, DrainOutcome::Forced);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_by_itself_needs_no_shutdown() {
        assert_eq!(Shutdown::new().wait(DRAIN, ready(())).await, DrainOutcome::Drained);
    }
}
