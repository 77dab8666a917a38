//! Graceful shutdown in two stages.
//!
//! Draining: take no new work, finish running work. Stopping: abandon the rest at once. The first
//! SIGTERM, SIGINT or SIGHUP (the terminal was closed) starts draining; a second one, or the drain
//! deadline, starts stopping. Stopping implies draining, and neither is reversible. A killed
//! process skips both, so nothing durable may depend on them.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::spawn::spawn;

/// The shutdown of one process; clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stop: CancellationToken,
    // Child of `stop`, so that stopping implies draining.
    drain: CancellationToken,
}

/// The outcome of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// All work has ended.
    Drained,
    /// The deadline passed before all work ended.
    Deadline,
    /// A second signal or [`Shutdown::stop`] came before all work ended.
    Forced,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Creates a shutdown in its initial state.
    pub fn new() -> Self {
        let stop = CancellationToken::new();
        let drain = stop.child_token();
        Self { stop, drain }
    }

    /// The token that is cancelled when draining starts: take no new work.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// The token that is cancelled when stopping starts: abandon running work.
    pub fn stop_now(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts draining, like a first signal.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Starts stopping, like a second signal.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Handles a signal: the first one drains, the next one stops.
    fn advance(&self, name: &str) {
        if self.drain.is_cancelled() {
            tracing::warn!(signal = name, "stopping at once");
            self.stop();
        } else {
            tracing::info!(signal = name, "draining; a second signal stops at once");
            self.drain();
        }
    }

    /// Starts to listen for SIGTERM, SIGINT and SIGHUP in the background. An ignored SIGHUP stays
    /// ignored: `nohup` wants the process to outlive its terminal.
    ///
    /// Must be called within a Tokio runtime. Fails when the handlers cannot be installed.
    pub fn listen_for_signals(&self) -> io::Result<()> {
        // Install the handlers before returning: a signal right after this call must not kill the
        // process.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup =
            if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        let shutdown = self.clone();
        spawn("signals", async move {
            // Go on after the first signal: the second one stops.
            while !shutdown.stop.is_cancelled() {
                let name = next_signal(&mut terminate, &mut interrupt, hangup.as_mut()).await;
                shutdown.advance(name);
            }
        });
        Ok(())
    }

    /// Waits until draining starts, then at most `drain_timeout` for `work` to end. Afterwards
    /// [`Shutdown::stop_now`] is cancelled, whatever the outcome; the caller bounds its wait for
    /// abandoned work.
    ///
    /// `work` is polled from the start. If it ends before any shutdown, the outcome is `Drained`.
    pub async fn wait(
        &self,
        drain_timeout: Duration,
        work: impl Future<Output = ()>,
    ) -> DrainOutcome {
        let deadline = async {
            self.drain.cancelled().await;
            tokio::time::sleep(drain_timeout).await;
        };
        let outcome = tokio::select! {
            // Work that has ended counts as drained, even when the deadline passes in the same
            // poll.
            biased;
            () = work => DrainOutcome::Drained,
            () = self.stop.cancelled() => DrainOutcome::Forced,
            () = deadline => DrainOutcome::Deadline,
        };
        // Whatever the outcome: tasks that outlive the drain see the token and give up.
        self.stop();
        outcome
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
            // Never resolves, so that the other signals decide.
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = hung_up => "SIGHUP",
    }
}

/// Tells whether the process was started with SIGHUP ignored; false where `/proc` is missing.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit 0 is signal 1, SIGHUP.
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

    /// Sends a signal to this process.
    async fn send(signal: &str) {
        let line = format!("kill -{signal} {}", std::process::id());
        let sent = tokio::process::Command::new("sh").args(["-c", &line]).status().await.unwrap();
        assert!(sent.success());
    }

    #[tokio::test]
    async fn signals_drain_and_then_stop() {
        let shutdown = Shutdown::new();
        shutdown.listen_for_signals().unwrap();
        send("TERM").await;
        shutdown.draining().cancelled().await;
        assert!(!shutdown.stop_now().is_cancelled());
        send("INT").await;
        shutdown.stop_now().cancelled().await;
        // In the same test, because every listener in the process receives every signal.
        let shutdown = Shutdown::new();
        shutdown.listen_for_signals().unwrap();
        send("HUP").await;
        shutdown.draining().cancelled().await;
        assert!(!shutdown.stop_now().is_cancelled());
    }

    #[test]
    fn an_ignored_hangup_is_detected() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup("Name:\tx\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_in_time_is_drained() {
        let shutdown = Shutdown::new();
        let draining = shutdown.draining().clone();
        shutdown.drain();
        let outcome = shutdown.wait(DRAIN, async move { draining.cancelled().await }).await;
        assert_eq!(outcome, DrainOutcome::Drained);
        assert!(shutdown.stop_now().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_abandoned_at_the_deadline() {
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
    async fn work_that_ends_without_a_shutdown_is_drained() {
        assert_eq!(Shutdown::new().wait(DRAIN, ready(())).await, DrainOutcome::Drained);
    }
}
