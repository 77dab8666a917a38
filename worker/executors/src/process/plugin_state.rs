//! The state that the background tasks of a plugin share: its runs, and how it ends.

use super::{
    config::ProcessConfig,
    logging::{LogAdmission, LogRateLimiter, StderrTail},
    routes::RunRoutes,
};
use longhaul_domain::{AgentName, TaskId};
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio_util::sync::CancellationToken;

/// The shared state of a plugin.
pub(super) struct PluginState {
    pub agent: AgentName,
    pub stderr_tail: StderrTail,
    pub command: String,
    pub routes: RunRoutes,
    log_rate: Mutex<LogRateLimiter>,
    termination: OnceLock<Termination>,
    exit_status: OnceLock<String>,
    /// Cancelled when its input ends and it may clean up.
    pub closing: CancellationToken,
    /// Cancelled when it gets SIGTERM, and SIGKILL after the grace period.
    pub terminating: CancellationToken,
    /// Cancelled when it gets SIGKILL.
    pub killing: CancellationToken,
    /// Cancelled when the process has ended.
    pub dead: CancellationToken,
}

/// The cause of a plugin's end, as far as its runs need it. The first cause stands.
struct Termination {
    /// The violation of the protocol, if there was one.
    violation: Option<String>,
    /// The run that caused it, where that is known.
    culprit: Option<String>,
}

/// The consequence of a plugin's end for one of its runs.
pub(super) enum RunFate {
    /// The run failed.
    Failed {
        cause: String,
        /// False after a violation of the protocol: another attempt would repeat it.
        retryable: bool,
    },
    /// Another run caused the end, or the cause is not known.
    Interrupted(String),
}

impl PluginState {
    pub fn new(agent: AgentName, config: &ProcessConfig) -> Self {
        Self {
            agent,
            stderr_tail: StderrTail::default(),
            command: config.shown_command(),
            routes: RunRoutes::default(),
            log_rate: Mutex::new(LogRateLimiter::new()),
            termination: OnceLock::new(),
            exit_status: OnceLock::new(),
            closing: CancellationToken::new(),
            terminating: CancellationToken::new(),
            killing: CancellationToken::new(),
            dead: CancellationToken::new(),
        }
    }

    /// The task of the only run in the plugin.
    pub fn only_task(&self) -> Option<TaskId> {
        self.routes.only_task()
    }

    /// Decides whether one more line of the plugin may be logged.
    pub fn admit_log_line(&self) -> LogAdmission {
        self.log_rate.lock().unwrap_or_else(PoisonError::into_inner).admit()
    }

    /// Kills the plugin because it violated the protocol.
    pub fn kill_for_violation(&self, run: Option<String>, violation: String) {
        let culprit = match run {
            Some(named) => self.routes.culprit_for(named),
            None => self.routes.only_run(),
        };
        tracing::error!(agent = %self.agent, command = self.command, violation, "plugin violated the protocol");
        // Set before the kill, so that the exit cannot be taken for the cause. A second set is ignored.
        let _ = self.termination.set(Termination { violation: Some(violation), culprit });
        self.killing.cancel();
    }

    /// Ends the plugin because this run does not end.
    pub fn terminate(&self, run: &str) {
        let _ =
            self.termination.set(Termination { violation: None, culprit: Some(run.to_owned()) });
        self.terminating.cancel();
    }

    /// Notes the end of the process.
    pub fn exited(&self, status: String) {
        // Before the routes are shut down: only a run that was alone in the plugin can be blamed.
        let culprit = self.routes.only_run();
        let _ = self.termination.set(Termination { violation: None, culprit });
        let _ = self.exit_status.set(status);
        self.dead.cancel();
        // Last: the runs see the end of their events, and then ask for their fate.
        self.routes.shut_down();
    }

    /// The consequence of the plugin's end for one of its runs.
    pub fn run_fate(&self, run: &str) -> RunFate {
        // Owners of tasks read the first line of a cause, operators all of it.
        let details = format!("\ncommand: {}{}", self.command, self.stderr_tail.paragraph());
        let termination = self.termination.get();
        let violation = termination.and_then(|termination| termination.violation.as_ref());
        let cause = if let Some(violation) = violation {
            format!("the plugin broke the protocol: {violation}{details}")
        } else {
            let status = self.exit_status.get().map_or("it is gone", String::as_str);
            format!("the plugin ended without ending its run: {status}{details}")
        };
        if termination.is_some_and(|termination| termination.culprit.as_deref() == Some(run)) {
            RunFate::Failed { cause, retryable: violation.is_none() }
        } else {
            RunFate::Interrupted(cause)
        }
    }
}
