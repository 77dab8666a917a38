//! What the tasks of a plugin share: who it is, what is said about which run, and how it ends.

use super::{
    config::ProcessConfig,
    rate::{Admitted, LineRate},
    routes::Routes,
    stderr::Tail,
};
use longhaul_domain::{AgentName, TaskId};
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio_util::sync::CancellationToken;

/// What the tasks of a plugin share.
pub(super) struct Shared {
    pub agent: AgentName,
    pub tail: Tail,
    pub command: String,
    pub routes: Routes,
    log_rate: Mutex<LineRate>,
    fall: OnceLock<Fall>,
    death: OnceLock<Death>,
    /// Its input ends, and it may tidy up.
    pub closing: CancellationToken,
    /// It gets SIGTERM, and SIGKILL after the grace.
    pub terminating: CancellationToken,
    /// It gets SIGKILL.
    pub killing: CancellationToken,
    pub dead: CancellationToken,
}

/// How a plugin came to its end, as far as it matters to the runs in it. The first reason stands.
struct Fall {
    /// What it did that the protocol forbids.
    violation: Option<String>,
    /// The run that is to blame, where one can be told.
    culprit: Option<String>,
}

/// The meaning of a plugin's end for a run that was in it.
pub(super) enum RunFate {
    /// The run failed.
    Failed {
        cause: String,
        /// Whether another attempt is worth while: what breaks the protocol would do so again.
        retryable: bool,
    },
    /// Another run is to blame, or it cannot be told which.
    Interrupted(String),
}

/// How the process of a plugin ended.
struct Death {
    status: String,
}

impl Shared {
    pub fn new(agent: AgentName, config: &ProcessConfig) -> Self {
        Self {
            agent,
            tail: Tail::default(),
            command: config.shown(),
            routes: Routes::default(),
            log_rate: Mutex::new(LineRate::new()),
            fall: OnceLock::new(),
            death: OnceLock::new(),
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

    /// Whether one more line of the plugin may be logged.
    pub fn admit_log(&self) -> Admitted {
        self.log_rate.lock().unwrap_or_else(PoisonError::into_inner).admit()
    }

    /// The plugin broke the protocol: it is killed.
    pub fn violate(&self, run: Option<String>, what: String) {
        let culprit = match run {
            Some(named) => self.routes.blame(named),
            None => self.routes.only_run(),
        };
        tracing::error!(agent = %self.agent, command = self.command, what, "a plugin broke the protocol");
        let _ = self.fall.set(Fall { violation: Some(what), culprit });
        self.killing.cancel();
    }

    /// The plugin is ended because this run does not end.
    pub fn terminate(&self, run: &str) {
        let _ = self.fall.set(Fall { violation: None, culprit: Some(run.to_owned()) });
        self.terminating.cancel();
    }

    /// The process has ended. While its runs are still known: only one that was alone in it can be blamed.
    pub fn died(&self, status: String) {
        let _ = self.fall.set(Fall { violation: None, culprit: self.routes.only_run() });
        let _ = self.death.set(Death { status });
        self.dead.cancel();
        self.routes.shut();
    }

    /// What its end means for a run that was in it.
    pub fn fate_of(&self, run: &str) -> RunFate {
        // Owners of tasks read the first line of a cause, operators all of it.
        let details = format!("\ncommand: {}{}", self.command, self.tail.paragraph());
        let fall = self.fall.get();
        let violation = fall.and_then(|fall| fall.violation.as_ref());
        let cause = if let Some(what) = violation {
            format!("the plugin broke the protocol: {what}{details}")
        } else {
            let status = self.death.get().map_or("it is gone", |death| death.status.as_str());
            format!("the plugin ended without ending its run: {status}{details}")
        };
        if fall.is_some_and(|fall| fall.culprit.as_deref() == Some(run)) {
            RunFate::Failed { cause, retryable: violation.is_none() }
        } else {
            RunFate::Interrupted(cause)
        }
    }
}
